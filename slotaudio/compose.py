"""Build components by name and compose them into a model.

The constructor's signature is the schema: options are checked against it before anything is
built, and dimensions are threaded from stage to stage, so that no number is written twice.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slotaudio.errors import IncompatibleStages, SlotaudioError, UserError, WrongOptions
from slotaudio.pluginmanager import BUILTIN, plugin_manager
from slotaudio.registry import FAMILIES
from slotaudio.schema import fits, fitted, readable, signature_of
from slotaudio.spec import Spec
from slotaudio.spelling import did_you_mean

if TYPE_CHECKING:
    from slotaudio.model import SlotModel

Like = Spec | str | Mapping[str, Any]

STAGES = ("frontend", "encoder", "bottleneck", "decoder", "matcher")
"""The families that make up a model, in the order in which dimensions are threaded."""

_OFFERED_BY = {
    "frontend": ("sample_rate", "channels", "in_channels", "freq"),
    "encoder": ("in_dim", "bands"),
    "bottleneck": ("slot_dim",),
}
_OFFERED_BY_MODEL = ("slots", "window")


def offers(family: str, stage: Any) -> dict[str, Any]:
    """Return what a built stage offers to the constructors of later ones.

    Its dimensions, by their fixed names, and whatever else it lists in an attribute `offers`, such as
    ``{"skip_dims": (16, 32)}``: a decoder with a parameter of that name gets it. A parameter without a
    default that nobody offers is the error `IncompatibleStages`.
    """
    dimensions = {name: getattr(stage, _attribute(name), None) for name in _OFFERED_BY.get(family, ())}
    return {**dimensions, **getattr(stage, "offers", {})}


def reads_wave(encoder: Any) -> bool:
    """Tell whether an encoder, or its class, asks for the wave itself: ``reads = "wave"``.

    It then gets the wave as features of one frequency, whatever the frontend makes of it for the decoder and the
    masks.
    """
    return getattr(encoder, "reads", "features") == "wave"


def threaded_into(family: str, stages: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters that a stage gets from the model and from those of `stages` that come before it."""
    before = STAGES[: STAGES.index(family)]
    offered = (offers(name, stages[name]) for name in before if stages.get(name) is not None)
    return frozenset(_OFFERED_BY_MODEL if before else ()).union(*offered)


def build(family: str, spec: Like, /, **offered: Any) -> Any:
    """Build one component through the ``slotaudio_build`` hook.

    Args:
        family: ``"frontend"``, ``"encoder"``, ... (see `slotaudio.registry.FAMILIES`).
        spec: its name, `Spec` or mapping.
        offered: values that the constructor gets if it has a parameter of that name and the
            spec does not set it (this is how dimensions are threaded).

    Raises:
        UserError: there is no such family.
        UnknownComponent, AmbiguousComponent: see `slotaudio.registry.Registry.offer`.
        WrongOptions: the constructor does not take these options; says what it takes.
        IncompatibleStages: a stage needs what no stage before it offers, or takes something else under that name.
        SlotaudioError: a plug-in raised something else; names the plug-in.
    """
    spec = Spec.of(spec)
    if family not in FAMILIES:
        raise UserError(f"no family named {family!r}; the families are: {', '.join(FAMILIES)}")
    offer = FAMILIES[family].offer(spec.name)
    factory = offer.load()
    options = check_options(family, spec, factory, offered)
    hook = plugin_manager().hook.slotaudio_build
    try:
        component = hook(family=family, name=offer.name, factory=factory, options=options)
    except SlotaudioError:
        raise
    except Exception as error:  # foreign code: its own constructor, or a plug-in that wraps every construction
        plugin = plugin_manager().raised_by(error)
        if plugin is None:
            raise
        raise SlotaudioError(
            f"plug-in {plugin!r} failed while {family} {spec.name!r} was built: {type(error).__name__}: {error}",
            page="howto/plugins#leave-plug-ins-out",
        ) from error
    if not any(hasattr(component, ability) for ability in ("__call__", "__getitem__", "__iter__")):
        plugins = [repr(found.plugin_name) for found in hook.get_hookimpls() if found.plugin_name != BUILTIN]
        cause = f"; does slotaudio_build of plug-in {', '.join(plugins)} return what `yield` gave?" if plugins else ""
        raise SlotaudioError(f"{family} {spec.name!r} was built as {component!r}, which is no {family}{cause}")
    return component


def check_options(
    family: str, spec: Spec, factory: Callable[..., Any], offered: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the options to call `factory` with, or say why it would refuse them.

    Raises:
        WrongOptions: names the component, what is wrong and what is possible: of an option that there is not, the
            closest one and the names of all.
        IncompatibleStages: it is a stage, and parameters are neither offered nor set; or what is offered is not what
            the parameter of that name takes.
    """
    signature = signature_of(factory)
    _check_names(family, spec, signature)
    threaded = {
        key: value
        for key, value in (offered or {}).items()
        if key in signature.parameters and value is not None and key not in spec.options
    }
    options = {**threaded, **spec.options}
    try:
        signature.bind(**options)
    except TypeError as error:
        missing = [name for name in _needed(signature) if name not in options]
        if offered and family in STAGES and missing and set(options) <= set(signature.parameters):
            known = ", ".join(sorted(name for name, value in offered.items() if value is not None))
            raise IncompatibleStages(
                f"{family} {spec.name!r} needs {', '.join(missing)}, which its options do not set and the stages "
                f"before it do not offer (they offer {known}). It takes {_readable(signature)}"
            ) from None
        raise WrongOptions(f"{family} {spec.name!r}: {error}. It takes {_readable(signature)}") from None
    for key, value in options.items():
        annotation = signature.parameters[key].annotation if key in signature.parameters else Any
        if not fits(annotation, value):
            wrong = f"{key} = {value!r} is not {readable(annotation)}. It takes {_readable(signature)}"
            if key in threaded:
                raise IncompatibleStages(
                    f"{family} {spec.name!r}: {_giver(key)} offers {wrong}. Set {key} for it, or, if it means "
                    "something else, give the parameter another name"
                )
            raise WrongOptions(f"{family} {spec.name!r}: {wrong}")
        options[key] = fitted(annotation, value)
    return options


def _check_names(family: str, spec: Spec, signature: inspect.Signature) -> None:
    """Refuse the first option that there is not."""
    parameters = signature.parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_POSITIONAL]
    for name in spec.options:
        if name not in known:
            hint = did_you_mean(name, known)
            listed = ", ".join(known) or "none"
            raise WrongOptions(f"{family} {spec.name!r} has no option {name!r}.{hint}\n  known: {listed}")


def _giver(parameter: str) -> str:
    """Who offers a parameter of that name, for people."""
    if parameter in _OFFERED_BY_MODEL:
        return "the model"
    return next(
        (f"the {family}" for family, names in _OFFERED_BY.items() if parameter in names), "what it is built for"
    )


def check_stages(family: str, name: str, stages: Mapping[str, Any], specs: Mapping[str, Spec]) -> None:
    """Check what a component asks of the stages before it, before it is built.

    A class says so in an attribute: ``requires = {"frontend": ("compress", "expand")}`` asks for a frontend that
    has these attributes, and has them neither None nor False.

    Raises:
        IncompatibleStages: names both components and what is missing.
    """
    for other, attributes in getattr(FAMILIES[family][name], "requires", {}).items():
        missing = [attribute for attribute in attributes if not getattr(stages.get(other), attribute, None)]
        if missing:
            found = f"{other} {specs[other].name!r} has not" if other in specs else "there is none"
            raise IncompatibleStages(
                f"{family} {name!r} needs a {other} that has {' and '.join(missing)}; {found}. "
                f"Choose another {other} or another {family}"
            )


def _needed(signature: inspect.Signature) -> list[str]:
    """The parameters without a default."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind not in variadic]


def _readable(signature: inspect.Signature) -> str:
    """The signature without its return type; module paths of annotations shortened."""
    return str(signature.replace(return_annotation=inspect.Signature.empty)).replace("collections.abc.", "")


def compose(
    frontend: Like = "slotaudio/stft",
    encoder: Like = "slotaudio/resnet",
    bottleneck: Like | None = "slotaudio/transformer",
    decoder: Like | None = "slotaudio/spatial_broadcast",
    matcher: Like = "slotaudio/hungarian",
    *,
    slots: int = 2,
    window: float | None = 0.5,
    mask: Like | None = None,
    names: Sequence[str] | None = None,
) -> "SlotModel":
    """Compose a model from components by name.

    Args:
        frontend, encoder, bottleneck, decoder, matcher: each a name, a `Spec` or a mapping. Bottleneck
            and decoder may be None: the model then only encodes.
        slots: how many slots K the model predicts.
        window: seconds that the encoder sees at once; None for recordings of any length.
        mask: how estimated magnitudes become masks: ``"wiener"`` (default), ``"binary"`` or a
            mapping with options (see `slotaudio.separation.masks`).
        names: what the slots are, for models whose slots have fixed meanings (stems, trained with the matcher
            ``"fixed"``): outputs are named and never reordered.

    Returns:
        A `slotaudio.SlotModel`, randomly initialised.

    Raises:
        IncompatibleStages: two stages do not fit together, which is said before anything is computed.
        UserError: see `build`.

    Example:
        >>> from slotaudio import Spec, compose
        >>> model = compose(encoder=Spec("resnet", depth=18, width=16),
        ...                 bottleneck=Spec("transformer", slot_dim=64))
        >>> model.bottleneck.slot_dim
        64
    """
    from slotaudio.model import SlotModel

    chosen = {
        "frontend": frontend,
        "encoder": encoder,
        "bottleneck": bottleneck,
        "decoder": decoder,
        "matcher": matcher,
    }
    offered: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    specs: dict[str, Spec] = {}
    for family, like in chosen.items():
        if like is None:
            continue
        specs[family] = Spec.of(like)
        check_stages(family, specs[family].name, parts, specs)
        seen = {}
        if family == "encoder" and reads_wave(FAMILIES[family][specs[family].name]):
            seen = {"in_channels": parts["frontend"].channels, "freq": 1}
        parts[family] = build(family, like, **{**offered, **seen})
        # not before the frontend, whose own `window` is that of the transform
        offered |= {"slots": slots, "window": window, **offers(family, parts[family])}
    return SlotModel(**parts, specs=specs, slots=slots, window=window, mask=mask or "wiener", names=names)


def _attribute(parameter: str) -> str:
    """The attribute of a stage behind a parameter of the next: `in_*` reads what came `out_*`."""
    return "out_" + parameter.removeprefix("in_") if parameter.startswith("in_") else parameter
