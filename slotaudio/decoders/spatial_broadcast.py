"""AudioSlots' decoder: broadcast each slot over frequency and time, and map every cell by one network."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from slotaudio.errors import UserError
from slotaudio.positions import gaussian_code, grid, octave_code
from slotaudio.types import Estimates, Features, Spectrum

WITHOUT_GRADIENTS = 1024
"""Places evaluated at once where nothing is kept for a backward pass: at the paper's width, 6 MB per slot."""

OUTPUTS = {"linear": nn.Identity, "relu": nn.ReLU, "softplus": nn.Softplus}


class SpatialBroadcast(nn.Module):
    """Decode each slot by itself: slot and position code in, compressed magnitude out, cell by cell.

    Watters et al. 2019, arXiv 1901.07017, as in AudioSlots (arXiv 2305.05591, section 3): the slot s is
    copied to every cell of the F x T spectrogram, a Fourier code p of the cell's place is appended, and
    one fully connected network maps each cell to one value. The copies are never made: the first layer
    is linear, hence ``W [s; p] + b = W_s s + (W_p p + b)``, one product per slot and one per cell, added.

    The paper states neither code nor network; the defaults are four hidden layers of 1536 with ReLU in
    `stelzner/osrt`, a re-implementation of OSRT (arXiv 2206.06922), and octave-spaced waves
    down to two cells of 256 x 64.

    Args:
        slot_dim: width of a slot (threaded from the bottleneck).
        channels: of the spectrum (threaded from the frontend).
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        code: ``"octaves"`` (NeRF) or ``"gaussian"`` (random directions).
        waves: octaves along frequency and along time; their sum is the number of random directions.
        sigma, seed: standard deviation and seed of the random directions, which are stored with the weights.
        output: ``"linear"``, ``"relu"`` or ``"softplus"``. Costs of waves need the last: masks take negative
            magnitudes for silence, and give them no gradient.
        patch: (frequency, time) cells that share one place and get their values from one evaluation;
            (1, 1) in the paper. (4, 4) is 16 times cheaper, and what makes training on CPUs bearable.
        places_at_once: bounds memory in training by evaluating so many places at once, and each piece again
            in the backward pass. None evaluates all of them; without gradients it is 1024 at once.

    Raises:
        UserError: unknown `code` or `output`, sizes below 1.
    """

    requires: ClassVar[Mapping[str, tuple[str, ...]]] = {"frontend": ("compress", "expand")}
    projection: Tensor

    def __init__(
        self,
        slot_dim: int,
        channels: int = 1,
        hidden: int = 1536,
        layers: int = 4,
        code: Literal["octaves", "gaussian"] = "octaves",
        waves: Sequence[int] = (8, 6),
        sigma: float = 8.0,
        seed: int = 0,
        output: Literal["linear", "relu", "softplus"] = "linear",
        patch: Sequence[int] = (1, 1),
        places_at_once: int | None = None,
    ) -> None:
        super().__init__()
        if code not in ("octaves", "gaussian"):
            raise UserError(f"spatial_broadcast: code {code!r} is not known; choose 'octaves' or 'gaussian'")
        if output not in OUTPUTS:
            raise UserError(f"spatial_broadcast: output {output!r} is not known; choose one of {tuple(OUTPUTS)}")
        if len(waves) != 2 or len(patch) != 2 or min(hidden, layers, *waves, *patch, places_at_once or 1) < 1:
            raise UserError(
                f"spatial_broadcast: hidden {hidden}, layers {layers} and places_at_once {places_at_once} must be at "
                f"least 1, waves {list(waves)} and patch {list(patch)} two numbers of at least 1"
            )
        self.channels, self.code, self.waves = channels, code, tuple(waves)
        self.patch, self.places_at_once = tuple(patch), places_at_once
        if code == "gaussian":
            generator = torch.Generator().manual_seed(seed)
            self.register_buffer("projection", torch.randn(2, sum(waves), generator=generator) * sigma)
        self.from_slot = nn.Linear(slot_dim, hidden, bias=False)
        self.from_place = nn.Linear(2 * sum(waves), hidden)
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.to_values = nn.Linear(hidden, channels * patch[0] * patch[1])
        self.output = OUTPUTS[output]()

    def forward(
        self, vectors: Float[Tensor, "batch steps slots dim"], features: Features, spectrum: Spectrum
    ) -> Estimates:
        """Decode at the spectrum's resolution, whatever the resolution in training was.

        Raises:
            UserError: more than one set of slots per window.
        """
        batch, steps = vectors.shape[:2]
        if steps != 1:
            raise UserError(
                f"spatial_broadcast: got {steps} sets of slots per window and decodes one; the encoder must put a "
                "whole window into one step (resnet does), or the decoder must follow the steps"
            )
        freq, frames = spectrum.values.shape[-2:]
        down, across = -(-freq // self.patch[0]), -(-frames // self.patch[1])
        places = self.places(down, across, vectors.device)
        rows = self.from_slot(rearrange(vectors, "batch 1 slots dim -> (batch slots) 1 dim"))
        values = rearrange(
            self.evaluate(rows, places),
            "(batch slots) (down across) (channels high wide) -> batch slots channels (down high) (across wide)",
            batch=batch,
            down=down,
            channels=self.channels,
            high=self.patch[0],
        )
        return Estimates(magnitudes=self.output(values[..., :freq, :frames].to(self.from_place.weight.dtype)))

    def places(self, freq: int, frames: int, device: torch.device) -> Float[Tensor, "cells code"]:
        """Return the code of each place of a grid."""
        positions = grid(freq, frames, device).to(self.from_place.weight)
        if self.code == "gaussian":
            return gaussian_code(positions, self.projection)
        return octave_code(positions, self.waves)

    def evaluate(
        self, rows: Float[Tensor, "rows 1 hidden"], places: Float[Tensor, "cells code"]
    ) -> Float[Tensor, "rows cells values"]:
        """Map the sum of each projected slot and each place to values, piece by piece."""
        size = self.places_at_once or (len(places) if torch.is_grad_enabled() else WITHOUT_GRADIENTS)
        if len(places) <= size:
            return self._network(rows, places)
        pieces = [places[start : start + size] for start in range(0, len(places), size)]
        if not torch.is_grad_enabled():
            return torch.cat([self._network(rows, piece) for piece in pieces], dim=1)
        return torch.cat([checkpoint(self._network, rows, piece, use_reentrant=False) for piece in pieces], dim=1)

    def _network(
        self, rows: Float[Tensor, "rows 1 hidden"], places: Float[Tensor, "cells code"]
    ) -> Float[Tensor, "rows cells values"]:
        # in place: of each layer only what the next one reads is kept for the backward pass
        cells = torch.relu_(rows + self.from_place(places))
        for layer in self.hidden:
            cells = torch.relu_(layer(cells))
        return self.to_values(cells)
