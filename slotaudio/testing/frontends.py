"""Conformance of frontends: wave to spectrum and back."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.testing.drawing import wave
from slotaudio.testing.equivariance import difference
from slotaudio.testing.modules import ModuleConformance
from slotaudio.types import CompressingFrontend, Frontend, Spectrum


@dataclass(frozen=True)
class RoundTrip:
    """A wave's way through a frontend."""

    spectrum: Spectrum
    features: Float[Tensor, "batch maps freq frames"]
    wave: Float[Tensor, "batch channels time"]


class FrontendConformance(ModuleConformance):
    """Checks for frontends.

    Attributes:
        shortest, longest: samples of the waves that are drawn.
        margin: samples at either end that the inverse need not restore.
        inverse_tolerance: error of the inverse between the margins; None where it is not an inverse.
    """

    family = "frontend"
    contract = Frontend.__call__
    shortest: ClassVar[int] = 1
    longest: ClassVar[int] = 1500
    margin: ClassVar[int] = 0
    inverse_tolerance: ClassVar[float | None] = 1e-4

    def sizes(self) -> dict[str, tuple[int, int]]:
        return {"batch": (1, 3), "time": (self.shortest, self.longest)}

    def inputs(self, seed: int, **sizes: int) -> tuple[Any, ...]:
        return (wave(seed, sizes["batch"], self.module().channels, sizes["time"]),)

    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        return {"wave": inputs[0]}

    def call(self, module: Any, *inputs: Any) -> RoundTrip:
        spectrum = module(*inputs)
        return RoundTrip(spectrum, module.features(spectrum), module.inverse(spectrum.values, spectrum.length))

    def check_output(self, module: Any, inputs: tuple[Any, ...], output: RoundTrip) -> None:
        for name in ("sample_rate", "channels", "out_channels", "freq", "features", "inverse"):
            self.require(hasattr(module, name), f"lacks {name}")
        batch, channels, time = inputs[0].shape
        values = output.spectrum.values
        frames = values.shape[-1]
        self.require_shape("spectrum", values, (batch, channels, module.freq, frames))
        self.require_shape("features", output.features, (batch, module.out_channels, module.freq, frames))
        self.require(output.spectrum.length == time, f"says that {time} samples were {output.spectrum.length}")
        self.require(not output.features.is_complex(), "gives complex features, which encoders cannot read")

    def test_the_inverse_restores_the_length(self) -> None:
        """The inverse returns as many samples as went in, whatever the number."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            given = self.inputs(seed, **sizes)
            with torch.no_grad():
                self.require_shape("inverse", self.call(module, *given).wave, tuple(given[0].shape))

        self.for_all(check)

    def test_the_inverse_restores_the_wave(self) -> None:
        """Between the margins the inverse undoes the transform."""
        allowed = self.inverse_tolerance
        if allowed is not None:
            module, inside = self.module(), slice(self.margin, -self.margin or None)

            def check(seed: int, **sizes: int) -> None:
                given = self.inputs(seed, **{**sizes, "time": sizes["time"] + 2 * self.margin})
                with torch.no_grad():
                    found = self.call(module, *given).wave
                gap = difference(found[..., inside], given[0][..., inside])
                self.require(gap <= allowed, f"has an inverse that is off by {gap:.1e} (allowed: {allowed:.0e})")

            self.for_all(check)

    def test_expand_undoes_compress(self) -> None:
        """Where magnitudes are compressed, expanding restores them."""
        module = self.module()
        if isinstance(module, CompressingFrontend):

            def check(seed: int, **sizes: int) -> None:
                with torch.no_grad():
                    values = module(*self.inputs(seed, **sizes)).values
                    gap = difference(module.expand(module.compress(values)), values.abs())
                self.require(gap <= 1e-4, f"has an expand() that is off by {gap:.1e} after compress()")

            self.for_all(check)
