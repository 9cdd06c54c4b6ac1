"""Models of the separator's tests: a small one, and one whose outputs are known."""

import torch

from slotaudio import SlotModel, Spec, compose
from slotaudio.types import Estimates, Features, Spectrum

RATE = 2000


def tiny(**options: object) -> SlotModel:
    torch.manual_seed(0)
    return compose(
        **{
            "frontend": Spec("stft", sample_rate=RATE, window=64, hop=16, framing="centred"),
            "encoder": Spec("resnet", depth=10, width=2),
            "bottleneck": Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
            "decoder": Spec("spatial_broadcast", hidden=8, layers=1),
            "window": 0.128,
            **options,
        }
    )


class OneWave(torch.nn.Module):
    """Gives the first slot the mixture times a factor, as a finished wave, and the others nothing."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, vectors: torch.Tensor, features: Features, spectrum: Spectrum) -> Estimates:
        waves = torch.zeros(len(vectors), vectors.shape[2], 1, spectrum.length)
        hann = torch.hann_window(64)
        waves[:, 0, 0] = torch.istft(spectrum.values[:, 0], 64, 16, window=hann, length=spectrum.length) * self.factor
        return Estimates(waves=waves)


def one_wave(factor: float, slots: int = 2) -> SlotModel:
    model = tiny(slots=slots)
    model.decoder = OneWave(factor)
    return model
