"""Slots condition full-resolution features and become complex masks."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor, nn

from slotaudio.dual_path import DualPathBlock, zero_linear
from slotaudio.errors import UserError
from slotaudio.half_precision import LayerNorm
from slotaudio.types import Estimates, Features, Spectrum


class Mask(nn.Module):
    """Split the encoder's grid into one copy per slot and turn each into a complex mask.

    A slot scales and shifts every cell of its copy (FiLM, Perez et al. 2018, arXiv 1709.07871); dual-path blocks
    whose weights all slots share refine the copies, and see the mean over slots, by which the copies agree on
    who takes what; each band has its own projection to a complex factor per bin. Complex masks also move the phase,
    which lifts the ceiling of magnitude masks near 14 dB to above 24 dB. Any number of slots; permuting the slots
    permutes the masks.

    Args:
        in_dim, bands: threaded from an encoder that keeps a grid of frames and bands, such as `band_split`.
        slot_dim: threaded from the bottleneck.
        hidden: width of each direction of the LSTMs.
        blocks: number of dual-path blocks after the split.
        consistency: move the masks, all by the same, so that they sum to one and the sources add up to the mixture.
        rest: learn one more mask, of what no slot is to have, such as noise: the sources and the rest add up then. It
            starts as nothing, so that a trained decoder can be given one (`train.fresh = ["decoder.rest.*"]`).

    Raises:
        UserError: a rest without consistency, which leaves the masks free anyway.
    """

    def __init__(
        self,
        in_dim: int,
        bands: Sequence[tuple[int, int]],
        slot_dim: int,
        hidden: int = 128,
        blocks: int = 1,
        consistency: bool = True,
        rest: bool = False,
    ) -> None:
        super().__init__()
        if rest and not consistency:
            raise UserError("mask: rest = true needs consistency = true; without it nothing has to add up")
        self.bands = tuple(bands)
        self.film = nn.Linear(slot_dim, 2 * in_dim)
        self.blocks = nn.ModuleList(DualPathBlock(in_dim, hidden) for _ in range(blocks))
        self.together = nn.ModuleList(zero_linear(in_dim, in_dim) for _ in range(blocks))
        self.head = nn.Sequential(LayerNorm(in_dim), nn.Linear(in_dim, 2 * in_dim), nn.GELU())
        self.merge = nn.ModuleList(nn.Linear(2 * in_dim, 2 * (stop - start)) for start, stop in self.bands)
        self.consistency = consistency
        self.rest = (
            nn.ModuleList(zero_linear(2 * in_dim, 2 * (stop - start)) for start, stop in self.bands) if rest else None
        )

    @property
    def leaves_rest(self) -> bool:
        """Whether something of the mixture may be in no slot."""
        return self.rest is not None

    @torch.no_grad()
    def amplify(self, factor: float) -> None:
        """Multiply all masks by a factor, for good, and give the rest what is missing then.

        Raises:
            UserError: there is no rest.
        """
        if self.rest is None:
            raise UserError("mask: only masks beside a rest can be amplified; others have to add up to one")
        for weight in (*self.merge.parameters(), *self.rest.parameters()):
            weight *= factor
        for name, bias in self.rest.named_parameters():
            if name.endswith("bias"):
                bias.view(-1, 2)[:, 0] += 1 - factor

    def forward(
        self, vectors: Float[Tensor, "batch steps slots dim"], features: Features, spectrum: Spectrum
    ) -> Estimates:
        """Return complex masks of the spectrum's size.

        Raises:
            UserError: the encoder's tokens are no grid of frames and bands, or there are several sets of slots.
        """
        steps, slots = vectors.shape[1:3]
        frames = spectrum.values.shape[-1]
        if features.tokens.shape[1:3] != (1, frames * len(self.bands)) or steps != 1:
            raise UserError(
                f"the mask decoder needs one set of slots and {frames} x {len(self.bands)} tokens per window (frames x "
                f"bands); it got {steps} sets and {tuple(features.tokens.shape[1:3])} steps x tokens. Use an encoder "
                "that keeps the grid, such as band_split"
            )
        cells = rearrange(features.tokens, "batch 1 (frames bands) dim -> batch 1 frames bands dim", frames=frames)
        scale, shift = self.film(rearrange(vectors, "batch 1 slots dim -> batch slots 1 1 dim")).chunk(2, dim=-1)
        copies = cells * (1 + scale) + shift
        for block, together in zip(self.blocks, self.together, strict=True):
            copies = copies + together(copies.mean(dim=1, keepdim=True))
            copies = rearrange(copies, "batch slots frames bands dim -> (batch slots) frames bands dim")
            copies = rearrange(block(copies), "(batch slots) ... -> batch slots ...", slots=slots)
        copies = self.head(copies)
        masks = _factors(copies, self.merge)
        if self.consistency:
            rest = 0 if self.rest is None else _factors(copies.mean(dim=1, keepdim=True), self.rest)
            masks = masks + (1 - rest - masks.sum(dim=1, keepdim=True)) / slots
        return Estimates(masks=masks)


def _factors(
    copies: Float[Tensor, "batch slots frames bands dim"], merge: nn.ModuleList
) -> Complex[Tensor, "batch slots 1 freq frames"]:
    """Return a complex factor for each bin, from each band's own projection."""
    # unbound, not indexed: the gradient of each index would be a grid of zeros with one band in it
    bands = copies.unbind(dim=3)
    factors = torch.cat([project(band) for project, band in zip(merge, bands, strict=True)], dim=-1)
    factors = factors.to(torch.promote_types(factors.dtype, torch.float32))  # no complex numbers of bfloat16
    factors = rearrange(factors, "batch slots frames (freq parts) -> batch slots 1 freq frames parts", parts=2)
    return torch.view_as_complex(factors.contiguous())
