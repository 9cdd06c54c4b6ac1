"""The part of a model that is exported: spectrum in, masks and slots out, in real numbers."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.compose import reads_wave
from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.separation.masks import mask_function
from slotaudio.types import Spectrum

INPUTS = {
    "spectrum": ("batch", "channels", "freq", "frames", "parts"),
    "initial": ("batch", "slots", "dim"),
}
OUTPUTS = {
    "masks": ("batch", "slots", "channels", "freq", "frames", "parts"),
    "waves": ("batch", "slots", "channels", "time"),
    "vectors": ("batch", "steps", "slots", "dim"),
    "presence": ("batch", "steps", "slots"),
    "carried": ("batch", "slots", "dim"),
}
"""The tensors that go in and come out, in this order; a model has those that it has a use for.

`parts` is real and imaginary part, and missing where the numbers are real. Masks are factors for the mixture's
spectrum. `initial` is there where slots live on from window to window (it is the last window's `carried`) or start
from noise; elsewhere what they start from is part of the program.
"""


class Core(nn.Module):
    """The stages of a model between its frontend and its synthesis, one window per batch item.

    The frontend's compression is part of it, so whoever runs it needs nothing but a Fourier transform.

    Args:
        model: is copied to the CPU, in single precision and in evaluation mode.

    Raises:
        UserError: the model has no decoder, or its encoder reads what the exported part does not get.
    """

    start: Float[Tensor, "slots dim"]

    def __init__(self, model: SlotModel) -> None:
        super().__init__()
        if model.bottleneck is None or model.decoder is None:
            raise UserError("only models with a bottleneck and a decoder separate; this one only encodes")
        if reads_wave(model.encoder) and model.frontend.freq != 1:
            raise UserError(
                f"encoder {model.specs['encoder'].name!r} reads the wave, and what is exported gets its spectrum; only "
                "with a frontend that passes the wave through ('waveform') can this model be exported"
            )
        self.model = copy.deepcopy(model).to("cpu", torch.float32).eval()
        with torch.no_grad():
            found = self.model(_windows(self.model, 1))
            draws = [self.model.initial_slots(1, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        self.complex = found.spectrum.values.is_complex()
        self.register_buffer("start", draws[0][0].clone())
        self.free = found.slots.carried is not None or not torch.equal(*draws)
        given = {"masks": found.estimates.waves is None, "waves": found.estimates.waves is not None, "vectors": True}
        given |= {name: getattr(found.slots, name) is not None for name in ("presence", "carried")}
        self.outputs = tuple(name for name, there in given.items() if there)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what goes in."""
        return tuple(INPUTS) if self.free else ("spectrum",)

    def forward(self, spectrum: Tensor, initial: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the tensors named in `outputs`; axes as in `INPUTS` and `OUTPUTS`."""
        values = torch.view_as_complex(spectrum) if self.complex else spectrum
        whole = Spectrum(values, values.shape[-1])
        features = self.model.encoder(self.model.frontend.features(whole))
        if initial is None:
            initial = self.start.expand(values.shape[0], *self.start.shape)
        slots = self.model.bottleneck(features, initial)
        estimates = self.model.decoder(slots.vectors, features, whole)
        masks = estimates.masks
        if estimates.magnitudes is not None:
            magnitudes = self.model.frontend.expand(estimates.magnitudes)  # type: ignore[attr-defined]
            masks = mask_function(self.model.mask)(magnitudes)
        if masks is not None and masks.is_complex():
            masks = torch.view_as_real(masks)
        found: dict[str, Any] = {"masks": masks, "waves": estimates.waves, **vars(slots)}
        return tuple(found[name] for name in self.outputs)

    def arguments(
        self, wave: Float[Tensor, "batch channels time"], initial: Float[Tensor, "batch slots dim"] | None = None
    ) -> tuple[Tensor, ...]:
        """Return what goes in for a wave: its spectrum in real numbers and, where they are free, initial slots."""
        spectrum = real(self.model.frontend(wave).values)
        start = self.start.expand(len(wave), *self.start.shape) if initial is None else initial
        return (spectrum, start.contiguous()) if self.free else (spectrum,)


def real(values: Tensor) -> Tensor:
    """Return numbers with the axis `parts` if they are complex."""
    return torch.view_as_real(values).contiguous() if values.is_complex() else values.contiguous()


def _windows(model: SlotModel, batch: int) -> Float[Tensor, "batch 1 channels time"]:
    length = model.window_samples or 2 * model.sample_rate
    noise = torch.randn(batch, 1, model.frontend.channels, length, generator=torch.Generator().manual_seed(0))
    return 0.1 * noise
