"""Conformance of decoders: slots to estimates."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from slotaudio.testing.drawing import noise, wave
from slotaudio.testing.equivariance import TOLERANCE
from slotaudio.testing.modules import ModuleConformance
from slotaudio.types import Decoder, Estimates, Features, Spectrum


class DecoderConformance(ModuleConformance):
    """Checks for decoders.

    Decoders that need the features of a particular encoder override `features`, and name in `stages` what else
    that encoder offers.

    Attributes:
        slot_dim, in_dim, channels, freq: as the stages before would offer them.
        stages: further values that the stages before would offer, such as ``{"bands": ((0, 8), (8, 16))}``.
        frames: least and largest number of frames.
        hop: samples of the wave per frame.
        real: the spectrum is real (raw or learned frontends) instead of complex.
        steps: sets of slots per window.
        slots: least and largest number of slots.
        slots_interact: slots may see each other, as where they share out cells; else each is decoded by itself.
    """

    family = "decoder"
    contract = Decoder.__call__
    slot_dim: ClassVar[int] = 8
    in_dim: ClassVar[int] = 6
    channels: ClassVar[int] = 1
    freq: ClassVar[int] = 16
    stages: ClassVar[dict[str, Any]] = {}
    frames: ClassVar[tuple[int, int]] = (1, 9)
    hop: ClassVar[int] = 8
    real: ClassVar[bool] = False
    steps: ClassVar[int] = 1
    slots: ClassVar[tuple[int, int]] = (1, 4)
    slots_interact: ClassVar[bool] = False

    def offered(self) -> dict[str, Any]:
        return {
            "slots": self.slots[1],
            "sample_rate": 16000,
            "channels": self.channels,
            "in_channels": self.channels,
            "freq": self.freq,
            "in_dim": self.in_dim,
            "slot_dim": self.slot_dim,
            **self.stages,
        }

    def sizes(self) -> dict[str, tuple[int, int]]:
        return {"batch": (1, 3), "slots": self.slots, "frames": self.frames}

    def features(self, seed: int, batch: int, frames: int) -> Features:
        """Return features as an encoder would make them of a window of `frames` frames."""
        tokens = -(-frames // 2)
        return Features(noise(seed, batch, self.steps, tokens, self.in_dim), wave(0, tokens, 2))

    def inputs(self, seed: int, **sizes: int) -> tuple[Any, ...]:
        batch, frames = sizes["batch"], sizes["frames"]
        values = noise(seed, batch, self.channels, self.freq, frames, *(() if self.real else (2,)))
        length = frames * self.hop - self.hop // 3  # recordings seldom end where a frame does
        spectrum = Spectrum(values if self.real else torch.view_as_complex(values), length)
        vectors = noise(seed + 1, batch, self.steps, sizes["slots"], self.slot_dim)
        return vectors, self.features(seed + 2, batch, frames), spectrum

    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        return {"vectors": inputs[0]}

    def silence(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        vectors, features, spectrum = inputs
        return vectors, replace(features, tokens=0 * features.tokens), replace(spectrum, values=0 * spectrum.values)

    def check_output(self, module: Any, inputs: tuple[Any, ...], output: Estimates) -> None:
        self.require(isinstance(output, Estimates), f"returns {type(output).__name__}, not Estimates")
        vectors, _, spectrum = inputs
        batch, channels, freq, frames = spectrum.values.shape
        given = [name for name in ("magnitudes", "masks", "waves") if getattr(output, name) is not None]
        self.require(len(given) == 1, f"returns {' and '.join(given) or 'nothing'}; exactly one of three is wanted")
        last = (spectrum.length,) if given == ["waves"] else (freq, frames)
        expected = (batch, vectors.shape[2], channels, *last)
        self.require_shape(given[0], getattr(output, given[0]), expected)

    def test_dimensions_are_threaded(self) -> None:
        """It takes the width of slots, and the numbers of channels and frequencies, that it is offered."""
        for name, values in (("slot_dim", (5, 12)), ("channels", (2,)), ("freq", (self.freq + 8,))):
            if not self.takes(name) or name in {*self.options, *self.stages}:
                continue
            for value in values:
                other = type(type(self).__name__, (type(self),), {name: value})()
                module, inputs = other.build().eval(), other.inputs(0, **other.largest())
                with torch.no_grad():
                    output = module(*inputs)
                other.check_output(module, inputs, output)

    def test_permuting_the_slots_permutes_the_estimates(self) -> None:
        """Estimates come in the order of their slots, which matters to nothing else."""
        if self.slots[1] > 1:
            self.require_permutable(self.slots[1])

    def test_each_slot_is_decoded_by_itself(self) -> None:
        """What other slots hold, or that there are others, changes no estimate, unless slots are said to interact."""
        if not self.slots_interact and self.slots[1] > 1:
            module = self.module(torch.float64)

            def check(seed: int, **sizes: int) -> None:
                vectors, *rest = self.double(self.inputs(seed, **sizes))
                others = torch.cat([vectors[:, :, :1], -3 * vectors[:, :, 1:] + 1], dim=2)
                with torch.no_grad():
                    before, after = (self._first(self.call(module, each, *rest)) for each in (vectors, others))
                how = "lets the other slots change the first one's estimate"
                self.require_close(after, before, TOLERANCE[torch.float64], how)
                if self.slots[0] == 1:
                    with torch.no_grad():
                        alone = self._first(self.call(module, vectors[:, :, :1], *rest))
                    how = f"decodes a slot otherwise alone than as one of {sizes['slots']}"
                    self.require_close(alone, before, TOLERANCE[torch.float64], how)

            self.for_all(check, slots=self.slots[1])

    @staticmethod
    def _first(estimates: Estimates) -> dict[str, Tensor]:
        values = {name: getattr(estimates, name) for name in ("magnitudes", "masks", "waves")}
        return {name: tensor[:, 0] for name, tensor in values.items() if tensor is not None}
