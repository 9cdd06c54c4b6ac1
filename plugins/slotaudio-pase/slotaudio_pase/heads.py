"""Workers by name: a target, and the network that predicts it."""

from jaxtyping import Float
from torch import Tensor, nn

from slotaudio_pase.targets import TARGETS, described_anew
from slotaudio_pase.trunk import HOP
from slotaudio_pase.workers import Regression, Regressor, WaveDecoder


class Target(nn.Module):
    """A target with its differences and neighbouring frames (see `described_anew`)."""

    def __init__(self, target: nn.Module, deltas: bool, context: int) -> None:
        super().__init__()
        self.target, self.deltas, self.context = target, deltas, context

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim frames"]:
        """Return the target of every frame."""
        return described_anew(self.target(wave), self.deltas, self.context)


def regression(
    worker: str,
    in_dim: int,
    sample_rate: int,
    hidden: int,
    fit_frames: int,
    deltas: bool = False,
    context: int = 1,
) -> Regression:
    """Build a worker that predicts one of `slotaudio_pase.targets.TARGETS`.

    Args:
        worker: its name.
        in_dim: width of what it reads.
        sample_rate: in hertz.
        hidden: width of its hidden layer.
        fit_frames: frames on which the target's mean and deviation are fitted.
        deltas, context: see `slotaudio_pase.objective.PaseWorkers`; not for the wave.
    """
    target = TARGETS[worker](sample_rate)
    if worker == "waveform":
        return Regression(target, target.dim, WaveDecoder(in_dim, hidden), fit_frames * HOP, absolute=True)
    dim = target.dim * (3 if deltas else 1) * context
    network = Regressor(in_dim, dim, hidden)
    return Regression(Target(target, deltas, context), dim, network, fit_frames, absolute=False)
