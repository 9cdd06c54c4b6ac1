"""A healthy frontend, and what can go wrong with it."""

from dataclasses import replace

import torch
from torch import nn

from defects import Defect
from slotaudio.types import Spectrum


class HealthyFrontend(nn.Module):
    """Blocks of 16 samples and their discrete Fourier transform."""

    def __init__(self, size: int = 16) -> None:
        super().__init__()
        self.size = size
        self.sample_rate, self.channels, self.out_channels, self.freq = 16000, 1, 1, size // 2 + 1

    def forward(self, wave):
        padded = nn.functional.pad(wave, (0, -wave.shape[-1] % self.size))
        return Spectrum(torch.fft.rfft(padded.unflatten(-1, (-1, self.size))).mT, wave.shape[-1])

    def features(self, spectrum):
        return self.compress(spectrum.values)

    def inverse(self, values, length):
        return torch.fft.irfft(values.mT, n=self.size).flatten(-2)[..., :length]

    def compress(self, values):
        return values.abs().clamp_min(1e-6).sqrt()

    def expand(self, compressed):
        return compressed.clamp_min(0).square()


class WholeBlocks(HealthyFrontend):
    """Returns whole blocks, however long the wave was."""

    def inverse(self, values, length):
        return super().inverse(values, values.shape[-1] * self.size)


class ForgetsTheScale(HealthyFrontend):
    """Leaves a factor in its inverse."""

    def inverse(self, values, length):
        return 2 * super().inverse(values, length)


class OtherExponent(HealthyFrontend):
    """Expands by another power than it compresses by."""

    def expand(self, compressed):
        return compressed.clamp_min(0) ** 1.5


class NormalisesOverTheBatch(HealthyFrontend):
    """Divides the features by the loudest item's."""

    def features(self, spectrum):
        features = super().features(spectrum)
        return features / features.amax().clamp_min(1e-3)


class WrongLength(HealthyFrontend):
    """Says that there were as many samples as blocks can hold."""

    def forward(self, wave):
        spectrum = super().forward(wave)
        return replace(spectrum, length=spectrum.values.shape[-1] * self.size)


class SteepAtSilence(HealthyFrontend):
    """Compresses by a root whose slope at zero is infinite."""

    def compress(self, values):
        return values.abs().sqrt()


class KeepsThePhase(HealthyFrontend):
    """Inverts with the phase of the wave that came last."""

    def forward(self, wave):
        spectrum = super().forward(wave)
        self.phase = spectrum.values.angle()
        return spectrum

    def inverse(self, values, length):
        return super().inverse(torch.polar(values.abs(), self.phase), length)


class KeepsTheLength(HealthyFrontend):
    """Cuts to the length of the wave that came last, not to the one that it is told."""

    def forward(self, wave):
        self.length = wave.shape[-1]
        return super().forward(wave)

    def inverse(self, values, length):
        return super().inverse(values, self.length)


class FadesInPlace(HealthyFrontend):
    """Writes to the spectrum that it inverts."""

    def inverse(self, values, length):
        wave = super().inverse(values, length)
        with torch.no_grad():
            values[..., -1] *= 0.5
        return wave


class ClipsTheWave(HealthyFrontend):
    """Cuts off what exceeds full scale."""

    def inverse(self, values, length):
        return super().inverse(values, length).clamp(-1, 1)


class FirstChannelForAll(HealthyFrontend):
    """Takes any number of channels and returns the first."""

    def __init__(self, size: int = 16, channels: int = 1) -> None:
        super().__init__(size)
        self.channels = self.out_channels = channels

    def inverse(self, values, length):
        return super().inverse(values[:, :1].expand_as(values), length)


class RootOfTheNegative(HealthyFrontend):
    """Expands by a power that negative estimates do not survive."""

    def compress(self, values):
        return values.abs().clamp_min(1e-6) ** 0.4

    def expand(self, compressed):
        return compressed**2.5


class FeaturesInFloat32(HealthyFrontend):
    """Rounds what encoders see, and nothing else."""

    def features(self, spectrum):
        rough = super().features(replace(spectrum, values=spectrum.values.to(torch.complex64)))
        return rough.to(spectrum.values.real.dtype)


DEFECTS = (
    Defect("frontend", WholeBlocks, "test_the_inverse_restores_the_length"),
    Defect("frontend", ForgetsTheScale, "test_the_inverse_restores_the_wave"),
    Defect("frontend", OtherExponent, "test_expand_undoes_compress"),
    Defect("frontend", NormalisesOverTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("frontend", WrongLength, "test_shapes_and_types_follow_the_contract"),
    Defect("frontend", SteepAtSilence, "test_gradients_of_silence_are_finite"),
    Defect("frontend", KeepsThePhase, "test_the_inverse_needs_nothing_but_its_arguments"),
    Defect("frontend", KeepsTheLength, "test_the_inverse_needs_nothing_but_its_arguments"),
    Defect("frontend", FadesInPlace, "test_the_inverse_needs_nothing_but_its_arguments"),
    Defect("frontend", ClipsTheWave, "test_the_inverse_restores_the_wave"),
    Defect("frontend", FirstChannelForAll, "test_any_number_of_channels"),
    Defect("frontend", RootOfTheNegative, "test_compression_is_finite_everywhere"),
    Defect("frontend", FeaturesInFloat32, "test_float64_is_not_rounded"),
)
