"""Batches, a small model, and one whose estimates are given: what objectives should say of them is known."""

from dataclasses import dataclass
from typing import Any

import torch

from slotaudio import SlotModel, Spec, compose
from slotaudio.frontends.stft import STFT
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.objectives.views import cut
from slotaudio.separation.masks import synthesise
from slotaudio.types import Batch, Estimates, Features, Prediction, Slots

WINDOW = 400


def batch_of(seed: int, kind: str = "noise", sources: int = 2, windows: float = 1, batch: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    waves = 0.1 * torch.randn(batch, sources, 1, round(windows * WINDOW), generator=generator)
    # of different loudness and colour, or two estimates would cost the same
    waves = waves.cumsum(-1) * torch.tensor([1.0, 0.1, 0.3])[:sources, None, None] * 0.1 + 0.3 * waves
    if kind == "one silent source":
        waves[:, -1] = 0
    if kind == "silence":
        waves[:] = 0
    return Batch(waves.sum(1), waves)


def small(seed: int = 0, slots: int = 2, output: str = "linear", **bottleneck: Any) -> SlotModel:
    torch.manual_seed(seed)
    return compose(
        Spec("stft", sample_rate=800, window=32, hop=10, framing="centred"),
        Spec("resnet", depth=10, width=4),
        Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8, **bottleneck),
        Spec("spatial_broadcast", hidden=8, layers=2, waves=[3, 3], output=output),
        slots=slots,
    )


@dataclass
class Given:
    """A model whose estimates are given, so that what an objective should say is known."""

    estimates: Estimates
    presence: torch.Tensor | None = None
    carried: torch.Tensor | None = None
    frontend: Any = None
    window_samples: int | None = WINDOW
    matcher = Hungarian()

    def __post_init__(self) -> None:
        self.frontend = self.frontend or STFT(window=32, hop=10, framing="centred")

    def __call__(self, windows: torch.Tensor) -> Prediction:
        spectrum = self.frontend(windows.flatten(0, 1))
        batch, steps = windows.shape[:2]
        shape = (batch, steps, 2) if self.presence is None else self.presence.shape
        slots = Slots(torch.zeros(*shape, 1), presence=self.presence, carried=self.carried)
        features = Features(torch.zeros(batch, steps, 1, 1), torch.zeros(1, 2))
        return Prediction(spectrum, features, slots, self.estimates)

    def sources(self, prediction: Prediction, batch: int) -> torch.Tensor:
        waves = synthesise(prediction.estimates, prediction.spectrum, self.frontend)
        return waves.unflatten(0, (batch, -1))


def exact(batch: Batch, kind: str, order: list[int] | None = None) -> Estimates:
    """Perfect estimates of a batch, as waves, masks or magnitudes; one row per window."""
    frontend = STFT(window=32, hop=10, framing="centred")
    waves = cut(batch.sources, WINDOW).flatten(0, 1)[:, order or slice(None)]
    if kind == "waves":
        return Estimates(waves=waves)
    spectra = frontend(waves.flatten(0, 1)).values.unflatten(0, waves.shape[:2])
    if kind == "magnitudes":
        return Estimates(magnitudes=frontend.compress(spectra))
    mixture = frontend(cut(batch.mixture[:, None], WINDOW).flatten(0, 1)[:, 0]).values
    return Estimates(masks=spectra / mixture[:, None])
