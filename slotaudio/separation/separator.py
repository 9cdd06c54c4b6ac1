"""`Separator`: a model, and everything needed to use it on recordings of any length, rate and level."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.model import SlotModel, on_device, use_threads
from slotaudio.schema import check_arguments
from slotaudio.separation.channels import channel_map
from slotaudio.separation.framing import Framing
from slotaudio.separation.hindsight import Hindsight
from slotaudio.separation.intake import Blocks, Wave, check_rate
from slotaudio.separation.joining import JoiningRule
from slotaudio.separation.level import TRAINED
from slotaudio.separation.masks import mask_function
from slotaudio.separation.observation import Observation
from slotaudio.separation.pieces import streamed
from slotaudio.separation.predictor import WindowPredictor
from slotaudio.separation.presence import PresenceMeter, source_range
from slotaudio.separation.rules import blind_rules, matcher_of
from slotaudio.separation.separated import Separated, separate
from slotaudio.separation.stream import SourceStream
from slotaudio.separation.turns import TurnFollower
from slotaudio.spec import Spec

if TYPE_CHECKING:
    from slotaudio.representation import Embedding
    from slotaudio.separation.extraction import Extracted

Progress = Callable[[float], None]
Observer = Callable[[Observation], None]


class Separator:
    """Separate recordings of any length with a model, in constant memory.

    The outputs have the recording's length, sample rate and level. With `consistent` (the default) they add up
    to the recording, but for what the model has learned to leave out of all of them, such as noise, if it has, and then
    an offset too; without it they are the model's own estimates, which end at the model's highest frequency. No model
    hears an offset (see `slotaudio.separation.offset`).

    Args:
        model: from `slotaudio.compose`, `slotaudio.preset` or `from_pretrained`; put into evaluation mode.
        joining: how a speaker stays the same output. ``"overlap"`` matches neighbouring windows blindly on the
            samples they share (without `overlap`, on the spectrum at their seam), and through pauses on a memory
            of each output's voice; ``"given"`` trusts the
            model's order; ``"auto"`` trusts it where slots are carried from window to window, and matches
            otherwise. Slots with names are always taken as given.
        overlap: share of a window that the next one covers too, 0 to 0.9; by default half, and a quarter of the long
            windows of models that take any length, which need no more (docs/results/joining.md).
        sources: how many are wanted: a number, the least and the most as in ``(2, 3)`` or ``"2-3"``, or
            ``"unknown"``. Of more slots than that, those present are kept (`slotaudio.separation.presence`), when
            all of a recording is separated; pieces of a stream have all slots. None keeps all. One output holds what
            all slots do, so that a voice is not split and noise is left out, if the model has learned to; of slots
            with names it is one of them.
        mask: replaces the model's: ``"wiener"``, ``"binary"`` or a mapping with options.
        consistent: make the outputs add up (see `slotaudio.separation.residual`).
        keep_noise: give back what the model has learned to leave out, so that the outputs add up to the recording.
        channel: the one that is taken of recordings that have several, from 1; None mixes them down, unless the model
            takes them.
        level: decibels that the model expects of the loudest half second; recordings are brought there and back
            again (see `slotaudio.separation.level`). None leaves levels alone.
        long_window: seconds per window for models that take any length.
        windows_at_once: windows that go through the model together; some 4 s by default.
        ahead: seconds that are heard before windows in them are joined: who comes back after a pause is often unclear
            at first. Voices that change places inside of long windows are brought back a little later, a quarter
            as many and some 1.5 s (`slotaudio.separation.turns`), or when all of a recording is separated
            (`slotaudio.separation.hindsight`). 0 decides at once, and brings nobody back; the model's own order
            (``"given"``) needs none.
        device: where the model computes; where it is by default.
        threads: of torch in this process.
        seed: for bottlenecks whose slots start from noise.
        precision: ``"bf16"`` computes in bfloat16 where that is harmless: faster on CPUs and GPUs that have it.

    Raises:
        UserError: no model, or an option of another type or outside its range.
    """

    def __init__(
        self,
        model: SlotModel,
        joining: str = "auto",
        overlap: float | None = None,
        sources: int | str | Sequence[int] | None = None,
        mask: Spec | str | Mapping[str, Any] | None = None,
        consistent: bool = True,
        keep_noise: bool = False,
        channel: int | None = None,
        level: float | None = TRAINED,
        long_window: float = 8.0,
        windows_at_once: int | None = None,
        ahead: float = 8.0,
        device: str | torch.device | None = None,
        threads: int | None = None,
        seed: int = 0,
        precision: str = "fp32",
    ) -> None:
        if not isinstance(model, SlotModel):
            raise UserError(
                f"model {model!r} is not a SlotModel; Separator.from_pretrained loads a saved one by its name or folder"
            )
        check_arguments(Separator, locals())
        if precision not in ("fp32", "bf16"):
            raise UserError(f"precision {precision!r} is not known; choose 'fp32' or 'bf16'")
        if joining not in ("auto", "overlap", "given"):
            raise UserError(f"joining {joining!r} is not known; choose 'auto', 'overlap' or 'given'")
        if not 0.1 <= long_window <= 600:
            raise UserError(f"a long_window of {long_window} seconds is outside 0.1 to 600")
        if channel is not None and channel < 1:
            raise UserError(f"channel {channel}: they count from 1")
        use_threads(threads)
        self.model = on_device(device, model).eval()
        self.joining = joining
        self.sources = source_range(sources, model.slots)
        self.merged = self.sources == (1, 1) and model.slots > 1 and not model.names
        self.mask = model.mask if mask is None else Spec.of(mask)
        mask_function(self.mask)  # says now if there is no such mask
        self.consistent = consistent
        self.rest = model.leaves_rest and not keep_noise
        self.channel = channel
        self.level = level
        self.seed = seed
        self.precision = precision
        window = model.window_samples or round(long_window * model.sample_rate)
        if overlap is None:
            overlap = 0.25 if model.window_samples is None else 0.5
        self.ahead = 0.0 if joining == "given" or model.names else ahead
        self.framing = Framing.of(window, overlap, model.sample_rate, windows_at_once, self.ahead)

    def __repr__(self) -> str:
        least, most = self.sources
        hears = f"{self.model.slots} slots at {self.sample_rate} Hz"
        windows = f"{self.framing.window / self.sample_rate:g} s every {self.framing.hop / self.sample_rate:g} s"
        wanted = f"{least}" if least == most else f"{least}-{most}"
        return f"<Separator of {hears}, windows of {windows}, joining {self.joining!r}, sources {wanted}>"

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str] = "default", **options: Any) -> "Separator":
        """Load a model (see `slotaudio.pretrained.from_pretrained`) and make a separator of it.

        ``"default"`` is a model for two voices, and for one; where `sources` says something else, one that counts up to
        three.
        """
        from slotaudio.pretrained import from_pretrained
        from slotaudio.separation.counting import best_model

        return cls(from_pretrained(best_model(name, options.get("sources"))), **options)

    @property
    def sample_rate(self) -> int:
        """The model's sample rate, assumed of waves that come without one."""
        return self.model.sample_rate

    def __call__(
        self,
        wave: Wave | str | os.PathLike[str],
        sample_rate: int | None = None,
        *,
        reference: Wave | None = None,
        progress: Progress | None = None,
        observer: Observer | None = None,
    ) -> Separated:
        """Separate a recording in memory; `separate_file` and `stream` take what is too long for that.

        Args:
            wave: floats, full scale at -1 and 1; axes ``time``, ``channels time`` or ``batch channels time``. Or an
                audio file, which is read as ``channels time``.
            sample_rate: of the wave, in hertz; the model's by default. A file knows its own.
            reference: the true sources, for evaluation only: they fix each window's order (the paper's way).
                Axes ``sources`` and those of the wave, ``batch`` first.
            progress: called with the share that is done, 0 to 1.
            observer: called with what the model saw in each window.

        Raises:
            UserError: a wave of the wrong type, axes or channels, or without samples; a file of another rate.
            AudioFileError: samples that are not finite, or a file that cannot be read.
        """
        return separate(self, wave, sample_rate, reference=reference, progress=progress, observer=observer)

    def stream(
        self,
        source: Wave | str | os.PathLike[str] | Blocks,
        sample_rate: int | None = None,
        *,
        observer: Observer | None = None,
    ) -> Iterator[Float[Tensor, "slots channels time"]]:
        """Separate as the samples come, in constant memory: yields pieces that follow each other without gap.

        Args:
            source: an audio file, a wave (``time`` or ``channels time``), or an iterable of such waves as a
                microphone gives them, or of pairs of a wave and its rate. What it gave before it fails is
                separated to its last sample; then its exception is raised.
            sample_rate: of the waves, in hertz; the model's by default. A file knows its own.
            observer: called with what the model saw in each window.

        Raises:
            UserError, AudioFileError: as for calling the separator, and a file or block of another rate than given.
        """
        return streamed(self, source, sample_rate, observer)

    def slots(
        self,
        source: Wave | str | os.PathLike[str] | Blocks,
        sample_rate: int | None = None,
        *,
        attention: bool = True,
    ) -> "Embedding":
        """Return the slots behind the outputs over time: vectors, presence, level and attention as arrays.

        They are separated on the way, in constant memory but for the arrays themselves; the memory of
        `slotaudio.representation.slots.slots_over_time` does not grow at all, and `slotaudio embed` writes
        them as they come.

        Args:
            source, sample_rate: as for `stream`.
            attention: keep where the slots looked, which takes most of the memory.

        Raises:
            UserError, AudioFileError: as for calling the separator.
        """
        from slotaudio.representation.slots import all_slots

        return all_slots(self, source, sample_rate, attention)

    def extract(
        self,
        wave: Wave | str | os.PathLike[str],
        example: Wave | str | os.PathLike[str],
        sample_rate: int | None = None,
        example_rate: int | None = None,
        *,
        least: float = 0.5,
    ) -> "Extracted":
        """Separate a recording in memory and return the output of the voice that an example is of.

        Voices are compared by their mean cepstra, not by words: some seconds of the same speaker, alone and
        best from the same microphone, saying anything.

        Args:
            wave, sample_rate: as for calling the separator, but not a batch.
            example: an audio file or a wave.
            example_rate: of the wave that is the example; the model's by default. A file knows its own.
            least: similarity, as a probability, below which a warning says that nobody matches.

        Raises:
            UserError, AudioFileError: as for calling the separator; an example with too little sound.
        """
        from slotaudio.separation.extraction import extract

        return extract(self, wave, example, sample_rate, example_rate, least)

    def count(
        self,
        source: Wave | str | os.PathLike[str] | Blocks,
        sample_rate: int | None = None,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Return how many sources a recording holds; see `slotaudio.separation.counting.count`."""
        from slotaudio.separation.counting import count

        return count(self, source, sample_rate, progress)

    def separate_file(self, path: str | os.PathLike[str], folder: str | os.PathLike[str], **options: Any) -> list[Path]:
        """Separate an audio file into files; see `slotaudio.separation.files.separate_file`."""
        from slotaudio.separation.files import separate_file

        return separate_file(self, path, folder, **options)

    def open(
        self,
        sample_rate: int,
        rule: JoiningRule | None = None,
        observer: Observer | None = None,
        *,
        follow: bool = True,
    ) -> SourceStream:
        """Return a stream to push blocks into; `stream` and calling are made of it.

        Args:
            sample_rate: of the blocks, in hertz.
            rule: the order of each window's slots; by default what `joining` says.
            observer: called with what the model saw in each window.
            follow: bring back who changes places inside of windows, as far as it is known by then; not for what
                `hindsight` is to put into order.

        Raises:
            UserError: an impossible sample rate.
        """
        check_rate(sample_rate)
        rule, follower = self._rules() if rule is None else (rule, None)
        return SourceStream(
            WindowPredictor(self.model, self.framing, self.mask, self.level, self.seed, self.precision, self.merged),
            self.framing,
            rule,
            sample_rate,
            consistent=self.consistent,
            rest=self.rest,
            follower=follower if follow else None,
            observer=observer,
        )

    def channel_map(
        self, channels: int, sample_rate: int, name: str, quiet: bool = False
    ) -> Callable[[Float[Tensor, "batch channels time"]], Float[Tensor, "batch wanted time"]]:
        """Return how to bring the blocks of a recording to the model's channels; see `channels.channel_map`."""
        return channel_map(channels, self.model.frontend.channels, name, sample_rate, self.channel, quiet)

    def presence_meter(self, observer: Observer | None = None) -> PresenceMeter:
        """Return what finds out which outputs are sources, to observe a stream of this separator."""
        return PresenceMeter(self.model.slots, self.framing.hop / self.sample_rate, observer, self.merged)

    def hindsight(self, sample_rate: int) -> Hindsight | None:
        """Return what decides about the order of the outputs of a whole recording, in place of following turns.

        None where turns are not followed.
        """
        return None if self._rules()[1] is None else Hindsight(matcher_of(self.model), sample_rate)

    def _rules(self) -> tuple[JoiningRule, TurnFollower | None]:
        joining = "given" if self.merged else self.joining  # one output has no order
        return blind_rules(self.model, self.framing, joining, self.ahead, self.sources)
