"""Embedders by name, with options: built-in ones and those of plug-ins."""

import inspect

from slotaudio.compose import Like, check_options
from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.registry import embedders
from slotaudio.representation.embedding import Embedder
from slotaudio.spec import Spec


def embedder(features: Like = "auto", model: SlotModel | str = "default", **offered: object) -> Embedder:
    """Build an embedder by the name of its features.

    Args:
        features: ``"slots"``, ``"tokens"`` (of the encoder), ``"mfcc"``, ``"log_mel"`` or one that a plug-in offers,
            as a name, `Spec` or mapping; ``"auto"`` is slots where the model separates, else tokens.
        model: one that is loaded, or its name (see `slotaudio.pretrained.from_pretrained`); loaded only for features
            that need it.
        offered: values for parameters of these names, for those embedders that have them.

    Raises:
        UserError: slots of a model that has none; unknown features or options of them.
        PretrainedError: the model cannot be loaded.
    """
    spec, model = resolved(features, model)
    factory = embedders[spec.name]
    needed = model if "model" in inspect.signature(factory).parameters else None
    if isinstance(needed, str):
        needed = _loaded(needed)
    if spec.name == "slots" and needed is not None and not has_slots(needed):
        raise UserError("this model has no slots that become sources: it only encodes; ask for the features 'tokens'")
    return factory(**check_options("embedder", spec, factory, {**offered, "model": needed}))


def resolved(features: Like, model: SlotModel | str) -> tuple[Spec, SlotModel | str]:
    """Return the features that ``"auto"`` stands for, and the model, loaded if that was needed to know."""
    spec = Spec.of(features)
    if spec.name != "auto":
        return spec, model
    loaded = _loaded(model) if isinstance(model, str) else model
    return Spec("slots" if has_slots(loaded) else "tokens", **spec.options), loaded


def has_slots(model: SlotModel) -> bool:
    """Whether a model has slots that become sources."""
    return model.bottleneck is not None and model.decoder is not None


def _loaded(name: str) -> SlotModel:
    from slotaudio.pretrained import from_pretrained

    return from_pretrained(name)
