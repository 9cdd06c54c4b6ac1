"""Rows: the systems that an evaluation compares, all of them used through `slotaudio.Separator`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.compose import build
from slotaudio.errors import UserError
from slotaudio.model import SlotModel, on_device
from slotaudio.pretrained import from_pretrained
from slotaudio.separation.oracle import Recall, Truth, oracle
from slotaudio.separation.separated import Separated
from slotaudio.separation.separator import Separator
from slotaudio.spec import Spec
from slotaudio.types import Matcher

_JOININGS: dict[str, dict[str, Any]] = {
    "blind": {"joining": "overlap"},
    "given": {"joining": "given"},
    "adjacent": {"joining": "overlap", "overlap": 0.0},
    "adjacent-given": {"joining": "given", "overlap": 0.0},
    "reference": {"overlap": 0.0, "consistent": False},
}
"""Ways to join windows, see `Row`."""

MASKS = {"ibm": Spec("binary"), "irm": Spec("wiener", exponent=1.0), "wiener": Spec("wiener")}
"""Masks by their names in the literature: ideal binary, ideal ratio (of magnitudes), Wiener (of powers)."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what separates, with which mask, and how its windows are joined.

    ``"blind"`` joining is that of `Separator`: windows overlap and are matched on what they share.
    ``"given"`` overlaps them too, but trusts the model's order of slots, as carried slots ask for.
    ``"adjacent"`` and ``"adjacent-given"`` put windows side by side: only voices, or only the model's order, can
    then tell how one goes on in the next. ``"reference"`` is the paper's way: windows side by side, each put in
    order by the true sources.
    """

    system: str
    mask: str
    window: float
    """Seconds; infinite for a model without one."""
    joining: str
    separator: Callable[[Float[Tensor, "batch sources channels time"]], Separator]
    """Makes or returns the separator; only informed systems look at the sources."""
    matcher: Matcher | None = None
    informed: bool = False

    def separate(
        self, mixture: Float[Tensor, "batch channels time"], sources: Float[Tensor, "batch sources channels time"]
    ) -> Separated:
        """Separate; the sources are for those rows that may know them."""
        separator = self.separator(sources)
        if isinstance(separator.model.decoder, Truth):
            separator.model.decoder.rewind(separator.framing)
        reference = sources if self.joining == "reference" else None
        return separator(mixture, reference=reference)


def rows_of(
    models: Sequence[str],
    autoencoder: str = "",
    *,
    frontend: Spec,
    joinings: Sequence[str] = ("blind",),
    masks: Sequence[str] = (),
    oracle: Sequence[str] = (),
    windows: Sequence[float] = (),
    device: str | None = None,
    keep_noise: bool = False,
) -> tuple[list[Row], int]:
    """Return the rows of saved models and of what they are compared with, and the sample rate that all of them share.

    Args:
        models: names, as for `slotaudio.pretrained.from_pretrained`; ``"oracle"`` is passed over.
        autoencoder: name of the model whose recall has rows of its own; none if empty.
        frontend: of the oracle.
        joinings, masks: of all rows, see `Row`.
        oracle: masks of rows that know the sources.
        windows: of the oracle, in seconds; those of the models by default.
        device: where the models compute.
        keep_noise: let models leave no noise out.

    Raises:
        PretrainedError: a model cannot be loaded.
        UserError: other sample rates, or no rows at all; or as for `model_rows` and `informed_rows`.
    """
    loaded = {name: on_device(device, from_pretrained(name)) for name in models if name != "oracle"}
    recalling = from_pretrained(autoencoder) if autoencoder else None
    rates = {name: each.sample_rate for name, each in loaded.items()}
    if recalling is not None:
        rates[autoencoder] = recalling.sample_rate
    if oracle:
        rates["oracle"] = build("frontend", frontend).sample_rate
    if len(set(rates.values())) != 1:
        raise UserError(f"all rows need one sample rate; there are: {rates or 'no rows at all'}")
    known = list(dict.fromkeys(each.window for each in loaded.values() if each.window is not None))
    rows = []
    for window in windows or known or [0.5]:
        rows += informed_rows(frontend, window, oracle, joinings)
    if recalling is not None:
        kept = recalling.specs.get("frontend", Spec("slotaudio/stft"))
        rows += informed_rows(kept, recalling.window or 0.5, masks or ["wiener"], joinings, recalling)
    for name, each in loaded.items():
        rows += [replace(row, system=Path(name).name) for row in model_rows(each, masks, joinings, keep_noise)]
    return rows, next(iter(rates.values()))


def model_rows(
    model: SlotModel, masks: Sequence[str] = (), joinings: Sequence[str] = ("blind",), keep_noise: bool = False
) -> list[Row]:
    """Return the rows of a model: with its own mask, or each of `masks` where its decoder leaves the choice.

    Raises:
        UserError: an unknown mask or way of joining.
    """
    chosen: dict[str, Spec] = {mask: mask_spec(mask) for mask in masks}
    if not chosen or not gives_magnitudes(model):
        chosen = {"own": model.mask}
    window = model.window or math.inf
    rows = []
    for name, mask in chosen.items():
        for joining in joinings:
            separator = _separator(model, joining, mask, keep_noise)
            rows.append(Row("model", name, window, joining, _always(separator), model.matcher))
    return rows


def informed_rows(
    frontend: Spec,
    window: float,
    masks: Sequence[str],
    joinings: Sequence[str] = ("blind",),
    autoencoder: SlotModel | None = None,
    seed: int = 1,
) -> list[Row]:
    """Return the rows of a system that knows the sources: exactly (oracle), or as an autoencoder recalls them.

    It deals its slots out in another order in every window, as nothing keeps an unordered set from doing.

    Args:
        seed: of these orders.

    Raises:
        UserError: an unknown mask or way of joining, an unfit autoencoder.
    """
    recall = None if autoencoder is None else recall_by(autoencoder)
    system = "oracle" if autoencoder is None else "autoencoder"

    def row(mask: str, joining: str) -> Row:
        spec = mask_spec(mask)
        _check(joining)
        shuffle = torch.Generator().manual_seed(seed)

        def separator(sources: Float[Tensor, "batch sources channels time"]) -> Separator:
            return _separator(oracle(sources, frontend, window, spec, shuffle, recall), joining, spec)

        return Row(system, mask, window, joining, separator, informed=True)

    return [row(mask, joining) for mask in masks for joining in joinings]


def mask_spec(name: str) -> Spec:
    """Return the mask behind a name.

    Raises:
        UserError: unknown name.
    """
    if name not in MASKS:
        raise UserError(f"mask {name!r} is not known; choose one of {', '.join(MASKS)}")
    return MASKS[name]


def recall_by(autoencoder: SlotModel) -> Recall:
    """Return what an autoencoder (a model of one slot, trained on single sources) keeps of a source.

    Raises:
        UserError: the model has more slots, or no magnitudes.
    """
    if autoencoder.slots != 1 or not gives_magnitudes(autoencoder):
        raise UserError(
            "the autoencoder row needs a model of one slot that estimates magnitudes, trained with the objective "
            f"'autoencoder'; this one has {autoencoder.slots} slots"
        )

    @torch.no_grad()
    def recall(waves: Float[Tensor, "rows channels window"]) -> Float[Tensor, "rows channels freq frames"]:
        magnitudes = autoencoder(waves[:, None]).estimates.magnitudes
        assert magnitudes is not None  # see gives_magnitudes
        return magnitudes[:, 0].float()

    return recall


@torch.no_grad()
def gives_magnitudes(model: SlotModel) -> bool:
    """Say whether a model's estimates are magnitudes, of which either kind of mask can be made."""
    silence = torch.zeros(1, 1, model.frontend.channels, model.window_samples or model.sample_rate)
    device = next((parameter.device for parameter in model.parameters()), silence.device)
    return model.eval()(silence.to(device)).estimates.magnitudes is not None


def _check(joining: str) -> None:
    if joining not in _JOININGS:
        raise UserError(f"joining {joining!r} is not known; choose one of {', '.join(_JOININGS)}")


def _separator(model: SlotModel, joining: str, mask: Spec, keep_noise: bool = False) -> Separator:
    _check(joining)
    return Separator(model, mask=mask, keep_noise=keep_noise, **_JOININGS[joining])


def _always(separator: Separator) -> Callable[[Tensor], Separator]:
    return lambda sources: separator
