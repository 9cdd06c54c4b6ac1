"""The workers: small networks that read the encoder's tokens and answer one question each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio_pase.standardise import Standardise


class Verdict(NamedTuple):
    """What a worker that tells pairs apart lost, and how often it was right."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]


class Regressor(nn.Module):
    """Predict a target frame by frame: one hidden layer, 1x1 convolutions (PASE, arXiv 1904.03416, section 2.2)."""

    def __init__(self, in_dim: int, out_dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(in_dim, hidden, 1), nn.PReLU(hidden), nn.Conv1d(hidden, out_dim, 1))

    def forward(self, tokens: Float[Tensor, "batch in_dim frames"]) -> Float[Tensor, "batch out_dim frames"]:
        """Return the prediction."""
        return self.layers(tokens)


class WaveDecoder(nn.Module):
    """Predict the samples: three transposed convolutions from frames to samples, then a small hidden layer."""

    def __init__(self, in_dim: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        # the margins cut each layer to exactly `stride` times its input
        for maps, stride, margin in ((2 * hidden, 4, 13), (hidden, 4, 13), (hidden // 2, 10, 10)):
            layers += [nn.ConvTranspose1d(in_dim, maps, 30, stride, margin), nn.PReLU(maps)]
            in_dim = maps
        self.layers = nn.Sequential(*layers, Regressor(in_dim, 1, hidden // 4))

    def forward(self, tokens: Float[Tensor, "batch in_dim frames"]) -> Float[Tensor, "batch 1 samples"]:
        """Return 160 samples per frame."""
        return self.layers(tokens)


class Regression(nn.Module):
    """A target, its statistics, and the network that predicts it.

    Args:
        target: module from waves to ``batch dim frames``, with an attribute `dim`.
        network: from tokens to the standardised target.
        limit: frames to fit the statistics on.
        absolute: mean absolute instead of mean squared error.
    """

    def __init__(self, target: nn.Module, dim: int, network: nn.Module, limit: int, absolute: bool) -> None:
        super().__init__()
        self.target, self.network = target, network
        self.standardise = Standardise(dim, limit)
        self.absolute = absolute

    def forward(
        self, tokens: Float[Tensor, "batch in_dim frames"], wave: Float[Tensor, "batch time"]
    ) -> Float[Tensor, ""]:
        """Return the error on the standardised target."""
        return self.error(tokens, self.described(wave))

    @torch.no_grad()
    def described(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim steps"]:
        """Return the target of every frame (of every sample for the wave), not standardised yet."""
        with torch.autocast(wave.device.type, enabled=False):  # as precise as the wave, however fast the networks are
            return self.target(wave)

    def error(
        self, tokens: Float[Tensor, "batch in_dim frames"], target: Float[Tensor, "batch dim steps"]
    ) -> Float[Tensor, ""]:
        """Return the error on a target, which is standardised first; in training its statistics are fitted."""
        wanted = self.standardise(target)
        compare = nn.functional.l1_loss if self.absolute else nn.functional.mse_loss
        return compare(self.network(tokens).to(wanted), wanted)


class Discriminator(nn.Module):
    """Tell pairs that belong together from pairs that do not, frame by frame.

    Args:
        in_dim: of one pair.
        hidden: width of the hidden layer.
    """

    def __init__(self, in_dim: int, hidden: int) -> None:
        super().__init__()
        self.network = Regressor(in_dim, 1, hidden)

    def forward(
        self, together: Float[Tensor, "batch pair frames"], apart: Float[Tensor, "batch pair frames"]
    ) -> Verdict:
        """Return the binary cross-entropy, half of it from each kind, and the share of right answers."""
        yes, no = (self.network(pairs).to(together) for pairs in (together, apart))
        loss = nn.functional.softplus(-yes).mean() + nn.functional.softplus(no).mean()
        right = (yes > 0).to(yes).mean() + (no < 0).to(no).mean()
        return Verdict(loss / 2, right.detach() / 2)


def swapped(
    together: Float[Tensor, "batch pair frames"],
    apart: Float[Tensor, "batch pair frames"],
) -> tuple[Float[Tensor, "twice pair frames"], Float[Tensor, "twice pair frames"]]:
    """Add each pair that belongs together the other way round, and what it then is beside the other utterance (PASE+).

    From (anchor, same) and (anchor, other) come (same, anchor) and (same, other) as well.
    """
    dim = together.shape[1] // 2
    anchor, same, other = together[:, :dim], together[:, dim:], apart[:, dim:]
    return torch.cat([together, torch.cat([same, anchor], dim=1)]), torch.cat([apart, torch.cat([same, other], dim=1)])


def local_pairs(
    anchor: Float[Tensor, "batch dim frames"],
    same: Float[Tensor, "batch dim frames"],
    other: Float[Tensor, "batch dim frames"],
) -> tuple[Float[Tensor, "batch pair frames"], Float[Tensor, "batch pair frames"]]:
    """Return LIM's pairs: each frame beside one of the same utterance, and beside one of another."""
    return torch.cat([anchor, same], dim=1), torch.cat([anchor, other], dim=1)


def global_pairs(
    anchor: Float[Tensor, "batch dim frames"],
    same: Float[Tensor, "batch dim frames"],
    other: Float[Tensor, "batch dim frames"],
) -> tuple[Float[Tensor, "batch pair 1"], Float[Tensor, "batch pair 1"]]:
    """Return GIM's pairs: as `local_pairs`, of the means over each chunk."""
    anchor, same, other = (part.mean(dim=2, keepdim=True) for part in (anchor, same, other))
    return local_pairs(anchor, same, other)


def order_pairs(
    tokens: Float[Tensor, "batch dim frames"], anchors: Sequence[int], gap: int, length: int
) -> tuple[Float[Tensor, "batch sequence anchors"], Float[Tensor, "batch sequence anchors"]]:
    """Return SPC's pairs: each anchor frame with `length` frames that follow, and with as many that precede it.

    The nearest of either lies `gap` frames away; each sequence is in order of time.
    """

    def beside(anchor: int, first: int) -> Float[Tensor, "batch sequence"]:
        sequence = tokens[..., anchor + first : anchor + first + length]
        return torch.cat([tokens[..., anchor], rearrange(sequence, "batch dim frames -> batch (frames dim)")], dim=1)

    follows = torch.stack([beside(anchor, gap) for anchor in anchors], dim=-1)
    return follows, torch.stack([beside(anchor, 1 - gap - length) for anchor in anchors], dim=-1)
