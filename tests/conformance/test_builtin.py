"""The shipped suite on everything that slotaudio offers: built-ins pass what plug-ins must pass.

Every built-in gets a class from the registry, so that a new one is included without an edit here; one that is not
in `VARIANTS` is tested with its defaults.
"""

from builtin_variants import VARIANTS

from slotaudio.pluginmanager import BUILTIN
from slotaudio.registry import REGISTRIES
from slotaudio.testing import CONFORMANCE

for family, registry in REGISTRIES.items():
    for offer in registry.offers():
        if offer.plugin == BUILTIN:
            for variant, attributes in VARIANTS.get((family, offer.name), {"": {}}).items():
                title = f"Test_{family}_{offer.name}" + (f"_{variant}" if variant else "")
                named = {"component": offer.name, "__module__": __name__, **attributes}
                globals()[title] = type(title, (CONFORMANCE[family],), named)


def test_every_variant_belongs_to_a_built_in():
    offered = {(family, name) for family, registry in REGISTRIES.items() for name in registry}
    assert set(VARIANTS) <= offered
