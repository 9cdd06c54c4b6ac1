"""The example on a component's page: written for its family, run while the page is made, and what it costs."""

import functools
import inspect
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from slotaudio.compose import compose, threaded_into
from slotaudio.registry import Offer

_BANDS = 'encoder="band_split", decoder="mask"'
_MUSIC = 'frontend="waveform", encoder="music_unet", bottleneck="dual_path_transformer", decoder="music_unet"'
_ENCODES = "bottleneck=None, decoder=None"
COMPOSED: Mapping[str, str] = {
    "frontend/sinc": f'compose(frontend="sinc", encoder="band_split", {_ENCODES})',
    "frontend/waveform": f'compose(frontend="waveform", encoder="pase", {_ENCODES}, window=None)',
    "encoder/band_split": f"compose({_BANDS})",
    "encoder/music_unet": f"compose({_MUSIC}, window=None)",
    "encoder/pase": f'compose(frontend="waveform", encoder="pase", {_ENCODES}, window=None)',
    "encoder/pase_plus": f'compose(frontend="waveform", encoder="pase_plus", {_ENCODES}, window=None)',
    "bottleneck/dual_path_transformer": f"compose({_MUSIC}, window=None)",
    "encoder/resnet": 'preset("audioslots-small")',
    "bottleneck/transformer": 'preset("audioslots-small")',
    "decoder/spatial_broadcast": 'preset("audioslots-small")',
    "decoder/mask": f"compose({_BANDS})",
    "decoder/music_unet": f"compose({_MUSIC}, window=None)",
    "objective/autoencoder": 'preset("audioslots-small", slots=1)',
    "objective/local": f"compose({_BANDS})",
    "objective/mixit": 'preset("audioslots-small", slots=4)',
    "objective/semi_supervised": 'preset("audioslots-small", slots=4)',
    "objective/pase": f'compose(frontend="waveform", encoder="pase", {_ENCODES}, window=None)',
    "objective/relative_mse": f"compose({_MUSIC}, window=None)",
}
"""What to compose a component with where `preset("audioslots-small")` with it is not enough."""

OPTIONS: Mapping[str, str] = {
    "dataset/folder": 'path="bundled:dev", seconds=4.0',
    "dataset/blend": 'path="bundled:dev", seconds=4.0, shares={"pairs": 1, "talks": 1}, '
    'parts={"pairs": {"name": "folder"}, "talks": {"name": "conversations"}}',
    "dataset/conversations": 'path="bundled:dev", seconds=20.0',
}
_DATASET = 'from slotaudio import Spec, build\n\ndataset = build("dataset", '
_STAGES = ("frontend", "encoder", "bottleneck", "decoder")


@dataclass
class Example:
    """A piece of a session with what it prints, and what was counted."""

    text: str
    costs: list[tuple[str, str]] = field(default_factory=list)
    threaded: frozenset[str] = frozenset()


def example(offer: Offer, component: Any) -> Example:
    """Run the example of a component."""
    key = f"{offer.family}/{offer.name}"
    if offer.family == "dataset" and key not in OPTIONS and "path" in inspect.signature(component).parameters:
        return Example(_code(f'{_DATASET}Spec("{offer.name}", path="path/to/data"))', "python"))
    composed = COMPOSED.get(key) or f'preset("audioslots-small", {offer.family}="{offer.name}")'
    scope: dict[str, Any] = {}
    torch.manual_seed(0)
    try:
        made = Example(_session(_statements(offer, key, composed), scope))
    except Exception:
        if key in COMPOSED:
            raise
        return Example(
            _code(f'[{offer.family}]\nname = "{offer.name}"', "toml")
        )  # of a recipe; it needs more than that
    if offer.family in _STAGES:
        made.costs, stages = _costs(offer, key)
        made.threaded = threaded_into(offer.family, stages) & set(inspect.signature(component).parameters)
    elif isinstance(scope.get(offer.family), torch.nn.Module):
        made.costs = [("parameters", _size(scope[offer.family]))]
    return made


def _statements(offer: Offer, key: str, composed: str) -> list[str]:
    return {
        "frontend": _frontend,
        "matcher": _matcher,
        "dataset": _dataset,
        "objective": _objective,
    }.get(offer.family, _stage)(offer, key, composed)


def _frontend(offer: Offer, key: str, composed: str) -> list[str]:
    return [
        "import torch",
        "from slotaudio import build",
        f'frontend = build("frontend", "{offer.name}")',
        "spectrum = frontend(torch.randn(1, 1, 16000))  # batch channels time",
        "spectrum.values.shape  # batch channels freq frames",
        "frontend.inverse(spectrum.values, spectrum.length).shape",
    ]


def _stage(offer: Offer, key: str, composed: str) -> list[str]:
    samples = "16000" if "window=None" in composed else "8000"
    lines = ["import torch", f"from slotaudio import {composed.partition('(')[0]}", f"model = {composed}"]
    if "decoder=None" in composed:
        return [
            *lines,
            f"features = model.encode(torch.randn(1, 1, {samples}))  # batch channels time",
            "features.tokens.shape  # batch steps tokens dim",
        ]
    shown = {
        "encoder": "prediction.features.tokens.shape  # batch steps tokens dim",
        "bottleneck": "prediction.slots.vectors.shape  # batch steps slots dim",
        "decoder": "model.sources(prediction).shape  # batch steps slots channels time",
    }
    return [
        *lines,
        f"prediction = model(torch.randn(1, 1, 1, {samples}))  # batch steps channels time",
        shown[offer.family],
    ]


def _matcher(offer: Offer, key: str, composed: str) -> list[str]:
    return [
        "import torch",
        "from slotaudio import build",
        f'matcher = build("matcher", "{offer.name}")',
        "cost = torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]])  # batch slots sources",
        "matcher(cost)  # for every source its slot",
    ]


def _dataset(offer: Offer, key: str, composed: str) -> list[str]:
    options = f", {OPTIONS[key]}" if key in OPTIONS else ""
    return [
        "from slotaudio import Spec, build",
        f'dataset = build("dataset", Spec("{offer.name}"{options}))',
        "mixture, sources, metadata = dataset[0]",
        "mixture.shape, sources.shape  # channels time; sources channels time",
    ]


def _objective(offer: Offer, key: str, composed: str) -> list[str]:
    if key not in COMPOSED:
        composed = 'preset("audioslots-small")'
    offered = {
        "model": "model",
        "slots": "model.slots",
        "in_dim": "model.encoder.out_dim",
        "slot_dim": "model.bottleneck.slot_dim",
        "sample_rate": "model.sample_rate",
    }
    taken = inspect.signature(offer.load()).parameters
    sizes = "".join(f", {name}={value}" for name, value in offered.items() if name in taken)
    samples = "32000" if "decoder=None" in composed else "16000" if "window=None" in composed else "8000"
    return [
        "import torch",
        f"from slotaudio import build, {composed.partition('(')[0]}",
        "from slotaudio.types import Batch",
        f"model = {composed}",
        f'objective = build("objective", "{offer.name}"{sizes})',
        f"sources = torch.randn(2, 2, 1, {samples})  # batch sources channels time",
        "losses = objective(model, Batch(sources.sum(1), sources))",
        "sorted(losses)",
    ]


def _session(statements: list[str], scope: dict[str, Any]) -> str:
    lines = []
    for statement in statements:
        lines.append(f">>> {statement}")
        printed = io.StringIO()
        with redirect_stdout(printed), torch.no_grad():
            exec(compile(statement, "<example>", "single"), scope)  # as a user would type it
        lines += printed.getvalue().rstrip().splitlines()
    return _code("\n".join(lines), "pycon")


def _code(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```\n"


def _costs(offer: Offer, key: str) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Count parameters and operations of a stage at its default options, without computing anything."""
    composed = COMPOSED.get(key, "preset")
    model, counts = _counted(f'compose({offer.family}="{offer.name}")' if "preset" in composed else composed)
    operations = sum(counts.get(offer.family, {}).values())
    costs = [("parameters", _size(getattr(model, offer.family)))]
    if operations:
        costs.append(("cost", f"{_readable(operations)} operations per second of audio"))
    return costs, {family: getattr(model, family) for family in model.specs}


@functools.cache
def _counted(composed: str) -> tuple[Any, dict[str, dict[Any, float]]]:
    """Return a model, and how often each stage multiplies and adds for a second of audio."""
    model = eval(composed, {"compose": compose})
    seconds = model.window or 1.0
    counter = FlopCounterMode(display=False)
    with FakeTensorMode(allow_non_fake_inputs=True), counter:  # shapes are computed, values are not
        wave = torch.randn(1, model.frontend.channels, round(seconds * model.sample_rate))
        model.encode(wave) if model.decoder is None else model(wave[:, None])
    counts = counter.get_flop_counts()
    stages = {family: counts.get(f"{type(model).__name__}.{family}", {}) for family in _STAGES}
    return model, {family: {kind: count / seconds for kind, count in stage.items()} for family, stage in stages.items()}


def _size(module: Any) -> str:
    count = sum(parameter.numel() for parameter in module.parameters()) if isinstance(module, torch.nn.Module) else 0
    return _readable(count) if count else "none"


def _readable(number: float) -> str:
    for factor, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= factor:
            return f"{number / factor:.3g} {word}"
    return f"{number:.0f}"
