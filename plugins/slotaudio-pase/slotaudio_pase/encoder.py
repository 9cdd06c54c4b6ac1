"""The PASE encoder: one vector per 10 ms of a wave."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.types import Features
from slotaudio_pase.trunk import Trunk, check_wave, times


class Pase(nn.Module):
    """Encode a wave into problem-agnostic speech features (PASE, Pascual et al. 2019, arXiv 1904.03416).

    A Sinc layer and seven convolutional blocks, then a 1x1 convolution to `dim` and a BatchNorm without weights: a
    token per 160 samples, each of which sees 2370 samples (148 ms at 16 kHz). 5.8 M parameters. Tokens lie on one axis,
    time. The sizes are those of the published configuration; those of the paper's code by default differ.

    Args:
        dim: width of the tokens.
        width: maps of the Sinc layer, of which all others are multiples; 64 in the paper.
        sample_rate, channels: threaded from the frontend, which may be any: the encoder reads the wave itself.

    Raises:
        IncompatibleStages: the wave has several channels.
    """

    reads = "wave"

    def __init__(self, dim: int = 100, width: int = 64, sample_rate: int = 16000, channels: int = 1) -> None:
        super().__init__()
        check_wave("pase", channels)
        self.out_dim = dim
        self.trunk = Trunk(width, sample_rate)
        self.head = nn.Conv1d(self.trunk.maps[-1], dim, 1)
        self.norm = nn.BatchNorm1d(dim, affine=False)

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return a token per 160 samples, all in one step.

        Raises:
            UserError: the wave is too short.
        """
        maps = self.norm(self.head(self.trunk(features)[-1]))
        tokens = rearrange(maps, "batch dim tokens -> batch 1 tokens dim")
        return Features(tokens, times(tokens.shape[2], tokens.device))
