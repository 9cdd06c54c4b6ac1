"""Conformance of frontends: wave to spectrum and back."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.testing.drawing import wave
from slotaudio.testing.equivariance import TOLERANCE, difference
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

    def perceived(self, output: RoundTrip) -> Tensor:
        return output.features

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
        """Between the margins the inverse undoes the transform, for quiet waves and for those beyond full scale."""
        allowed = self.inverse_tolerance
        if allowed is not None:
            module, inside = self.module(), slice(self.margin, -self.margin or None)

            def check(seed: int, **sizes: int) -> None:
                (given,) = self.inputs(seed, **{**sizes, "time": sizes["time"] + 2 * self.margin})
                for level in (1.0, 4.0, 1e-3):
                    with torch.no_grad():
                        found = self.call(module, level * given).wave
                    gap = difference(found[..., inside] / level, given[..., inside])
                    how = (
                        f"has an inverse that is off by {gap:.1e} (allowed: {allowed:.0e}) for waves within ±{level:g}"
                    )
                    self.require(gap <= allowed, how)

            self.for_all(check)

    def test_the_inverse_needs_nothing_but_its_arguments(self) -> None:
        """A spectrum is inverted, and gives features, whatever was transformed since, in a batch of any size."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            with torch.no_grad():
                expected = self.call(module, *self.inputs(seed, **sizes))
                spectrum = expected.spectrum
                before = spectrum.values.clone()
                module(*self.inputs(seed + 1, batch=sizes["batch"] % 3 + 1, time=sizes["time"] + 7))
                features = module.features(spectrum)
                # as the model asks for the waves of all slots at once
                waves = module.inverse(spectrum.values.repeat_interleave(2, 0), spectrum.length)
            how = "remembers the last wave: {} of an earlier spectrum change once another wave was transformed"
            self.require_close(features, expected.features, TOLERANCE[torch.float32], how.format("the features"))
            for each in (waves[::2], waves[1::2]):
                self.require_close(each, expected.wave, TOLERANCE[torch.float32], how.format("the inverse"))
            self.require(torch.equal(spectrum.values, before), "writes to the spectrum in features() or inverse()")

        self.for_all(check)

    def test_any_number_of_channels(self) -> None:
        """Where the constructor takes a number of channels, the way there and back works for that number."""
        for channels in (1, 2, 3) if self.takes("channels") and "channels" not in self.options else ():
            module, given = self.build(channels=channels).eval(), wave(0, 2, channels, self.longest)
            self.require(module.channels == channels, f"has {module.channels} channels when it is built for {channels}")
            with torch.no_grad():
                output = self.call(module, given)
            self.check_output(module, (given,), output)
            self.require_heard(module, (given,))
            if self.inverse_tolerance is not None:
                inside = slice(self.margin, -self.margin or None)
                gap = difference(output.wave[..., inside], given[..., inside])
                how = f"has an inverse that is off by {gap:.1e} when it is built for {channels} channels"
                self.require(gap <= self.inverse_tolerance, how)

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

    def test_compression_is_finite_everywhere(self) -> None:
        """Silence has a finite slope when compressed, and estimates, which may be zero or negative, when expanded."""
        module = self.module()
        if isinstance(module, CompressingFrontend):
            with torch.no_grad():
                values = module(*self.inputs(0, **self.largest())).values
            silence = torch.zeros_like(values).requires_grad_()
            estimates = torch.linspace(-2, 2, values.numel()).reshape(values.shape)
            estimates[..., :1] = 0
            estimates.requires_grad_()
            for name, given, output in (
                ("compress() silence", silence, module.compress(silence)),
                ("expand() estimates of zero and below", estimates, module.expand(estimates)),
            ):
                self.require_finite(output, f"when it has to {name}")
                (gradient,) = torch.autograd.grad(output.sum(), given)
                self.require(bool(gradient.isfinite().all()), f"has a slope that is not finite when it has to {name}")
