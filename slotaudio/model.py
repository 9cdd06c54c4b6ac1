"""`SlotModel`: the stages of one model, glued in the order of the signal path."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.compose import reads_wave
from slotaudio.errors import UserError
from slotaudio.separation.masks import mask_function, synthesise
from slotaudio.spec import Spec
from slotaudio.types import Bottleneck, Decoder, Encoder, Features, Frontend, Matcher, Prediction, Slots, Spectrum


class SlotModel(nn.Module):
    """A mixture goes in, an unordered set of slots and one estimate per slot come out.

    Made by `slotaudio.compose`; the stages are attributes of the same names.

    Args:
        frontend, encoder, bottleneck, decoder, matcher: built components.
        specs: what each was built from, saved beside the weights.
        slots: how many slots K the model predicts.
        window: seconds that the encoder sees at once; None for any length.
        mask: see `slotaudio.separation.masks.mask_function`.
        names: of the slots, where they have fixed meanings; None for a set without order.

    Raises:
        UserError: a mask that does not exist; names that are not one for each slot, or cannot be part of a file's name.
    """

    def __init__(
        self,
        frontend: Frontend,
        encoder: Encoder,
        bottleneck: Bottleneck | None = None,
        decoder: Decoder | None = None,
        matcher: Matcher | None = None,
        *,
        specs: Mapping[str, Spec],
        slots: int,
        window: float | None,
        mask: Spec | str | Mapping[str, Any] = "wiener",
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.frontend = frontend
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.matcher = matcher
        self.specs = dict(specs)
        self.slots = slots
        self.window = window
        self.mask = Spec.of(mask)
        mask_function(self.mask)  # says now if there is no such mask
        self.names = None if names is None else _checked_names(names, slots)

    @property
    def sample_rate(self) -> int:
        """Samples per second that the model works at."""
        return self.frontend.sample_rate

    @property
    def window_samples(self) -> int | None:
        """Samples of one window; None where the model takes any length."""
        return None if self.window is None else round(self.window * self.sample_rate)

    @property
    def leaves_rest(self) -> bool:
        """Whether the model has learned to leave something out of all slots, such as noise: the decoder says so."""
        return bool(getattr(self.decoder, "leaves_rest", False))

    def encode(self, wave: Float[Tensor, "batch channels time"]) -> Features:
        """Return the encoder's features of a wave."""
        return self._encoded(wave, self.frontend(wave))

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return what the slots start from: learned queries or seeded noise."""
        return self._stage("bottleneck").initial_slots(batch, generator)

    def forward(
        self,
        windows: Float[Tensor, "batch steps channels time"],
        initial: Float[Tensor, "batch slots dim"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Prediction:
        """Predict slots and estimates for consecutive windows of each recording.

        Frontend, encoder and decoder see every window by itself; only the bottleneck sees their
        order, so that slots can be carried from one to the next.

        Args:
            windows: for models of one window, `steps` is 1.
            initial: slots to start from; `initial_slots` by default.
            generator: for bottlenecks that draw their initial slots.

        Raises:
            UserError: the model was composed without bottleneck or decoder.
        """
        bottleneck, decoder = self._stage("bottleneck"), self._stage("decoder")
        batch, steps = windows.shape[:2]
        wave = rearrange(windows, "batch steps channels time -> (batch steps) channels time")
        spectrum = self.frontend(wave)
        features = self._encoded(wave, spectrum)
        if initial is None:
            initial = self.initial_slots(batch, generator)
        slots: Slots = bottleneck(_by_recording(features, batch), initial)
        vectors = rearrange(
            slots.vectors, "batch (windows steps) slots dim -> (batch windows) steps slots dim", windows=steps
        )
        return Prediction(spectrum, features, slots, decoder(vectors, features, spectrum))

    def sources(self, prediction: Prediction, batch: int = 1) -> Float[Tensor, "batch steps slots channels time"]:
        """Synthesise one wave per slot from a prediction of `batch` recordings."""
        waves = synthesise(prediction.estimates, prediction.spectrum, self.frontend, self.mask)
        return rearrange(waves, "(batch steps) slots channels time -> batch steps slots channels time", batch=batch)

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        card: str | Mapping[str, Any] | None = None,
        eight_bits: Sequence[str] = (),
    ) -> Path:
        """Save to a folder; see `slotaudio.pretrained.save_pretrained`."""
        from slotaudio.pretrained import save_pretrained

        return save_pretrained(self, folder, card, eight_bits)

    @staticmethod
    def from_pretrained(name: str | os.PathLike[str] = "default") -> "SlotModel":
        """Load a bundled model, a folder or one from the hub; see `slotaudio.pretrained.from_pretrained`."""
        from slotaudio.pretrained import from_pretrained

        return from_pretrained(name)

    def _encoded(self, wave: Float[Tensor, "batch channels time"], spectrum: Spectrum) -> Features:
        if reads_wave(self.encoder):
            return self.encoder(rearrange(wave, "batch channels time -> batch channels 1 time"))
        return self.encoder(self.frontend.features(spectrum))

    def _stage(self, family: str) -> Any:
        stage = getattr(self, family)
        if stage is None:
            raise UserError(f"this model was composed without a {family}: it can only `encode`")
        return stage


def on_device(device: str | torch.device | None, model: SlotModel) -> SlotModel:
    """Move a model, or leave it where it is.

    Raises:
        UserError: there is no such device here.
    """
    try:
        return model if device is None else model.to(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        raise UserError(f"device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}") from None


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads in this process; None leaves that to it.

    Raises:
        UserError: less than one.
    """
    if threads is None:
        return
    if threads < 1:
        raise UserError(f"{threads} threads cannot compute anything; give 1 or more")
    torch.set_num_threads(threads)


def _by_recording(features: Features, batch: int) -> Features:
    """Put the windows of each recording in order along the steps axis."""
    tokens = rearrange(
        features.tokens, "(batch windows) steps tokens dim -> batch (windows steps) tokens dim", batch=batch
    )
    return replace(features, tokens=tokens)


def _checked_names(names: Sequence[str], slots: int) -> tuple[str, ...]:
    fit = all(re.fullmatch(r"[\w-][\w -]*", name) for name in names)
    if not fit or len({name.casefold() for name in names}) != len(names) or len(names) != slots:
        raise UserError(
            f"names = {list(names)} are to be {slots} different ones, one for each slot, of letters, digits, spaces, "
            "- and _: they become part of file names"
        )
    return tuple(names)
