"""The conformance suite: one class per family that holds a component to its contract.

The whole test file of a plug-in::

    from slotaudio.testing import EncoderConformance

    class TestMine(EncoderConformance):
        component = "mine"
        options = {"width": 8}

Every check is one method, named after the contract that a failure of it breaks. The checks draw sizes
and seeds with hypothesis; attributes of the class say what a component promises or cannot do.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError('slotaudio.testing draws its cases with hypothesis: pip install "slotaudio[test]"') from error

from slotaudio.testing.bottlenecks import BottleneckConformance
from slotaudio.testing.component import BrokenContract, ComponentConformance
from slotaudio.testing.datasets import DatasetConformance
from slotaudio.testing.decoders import DecoderConformance
from slotaudio.testing.embedders import EmbedderConformance
from slotaudio.testing.encoders import EncoderConformance
from slotaudio.testing.equivariance import assert_equivariant
from slotaudio.testing.frontends import FrontendConformance
from slotaudio.testing.matchers import MatcherConformance
from slotaudio.testing.modules import ModuleConformance
from slotaudio.testing.objectives import ObjectiveConformance

CONFORMANCE: dict[str, type[ComponentConformance]] = {
    suite.family: suite
    for suite in (
        FrontendConformance,
        EncoderConformance,
        BottleneckConformance,
        DecoderConformance,
        MatcherConformance,
        ObjectiveConformance,
        DatasetConformance,
        EmbedderConformance,
    )
}
"""The suite of every family, by the family's singular name."""

__all__ = [
    "CONFORMANCE",
    "BottleneckConformance",
    "BrokenContract",
    "ComponentConformance",
    "DatasetConformance",
    "DecoderConformance",
    "EmbedderConformance",
    "EncoderConformance",
    "FrontendConformance",
    "MatcherConformance",
    "ModuleConformance",
    "ObjectiveConformance",
    "assert_equivariant",
]
