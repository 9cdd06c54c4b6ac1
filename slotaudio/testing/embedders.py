"""Conformance of embedders: recordings that come in blocks to vectors over time."""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.compose import compose
from slotaudio.representation.embedding import Embedder, Embedding, joined
from slotaudio.spec import Spec
from slotaudio.testing.component import ComponentConformance
from slotaudio.testing.drawing import for_all, sizes, wave
from slotaudio.testing.process import global_randomness, seeded

if TYPE_CHECKING:
    from slotaudio.model import SlotModel


class EmbedderConformance(ComponentConformance):
    """Checks for embedders. A constructor that has a parameter `model` gets that of `model`.

    Attributes:
        seconds: length of the recordings that it is shown.
        endless: seconds of a recording after which something has to have come.
        tolerance: by which vectors may differ with the blocks that the recording came in.
    """

    family = "embedder"
    seconds: ClassVar[float] = 1.5
    endless: ClassVar[float] = 25.0
    tolerance: ClassVar[float] = 1e-4
    rate: ClassVar[int] = 16000

    def model(self) -> "SlotModel":
        """Return a model to make features with; override it where a small AudioSlots is none."""
        with seeded(0):
            return compose(
                encoder=Spec("resnet", depth=10, width=2),
                bottleneck=Spec("slot_attention", slot_dim=8, presence=True),
                decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8)),
            ).eval()

    def offered(self) -> dict[str, Any]:
        return {"model": self.model()} if self.takes("model") else {}

    def test_embeddings_follow_the_contract(self) -> None:
        """Times rise within the recording; there are finite vectors for each of them, and the rest fits to these."""
        embedder = self.build()
        self.require(isinstance(embedder, Embedder), "cannot be called with blocks and their sample rate")

        def check(seed: int, tenths: int) -> None:
            duration = tenths / 10
            found = self._embedded(embedder, wave(seed, 1, round(duration * self.rate)))
            times, vectors = found.times, found.vectors
            self.require(len(times) > 0, f"gives nothing of {duration} s")
            inside = times.ndim == 1 and times[0] >= 0 and times[-1] <= duration
            self.require(
                inside and bool((np.diff(times) > 0).all()), f"has times that do not rise from 0 to {duration}"
            )
            fits = vectors.ndim == 3 and len(vectors) == len(times)
            self.require(fits, f"returns vectors of shape {vectors.shape} for {len(times)} times, not steps slots dim")
            self.require(bool(np.isfinite(vectors).all()), "returns vectors that are not finite")
            self.require(found.window > 0, f"says that {found.window} s are heard for a step")
            for name in ("presence", "level"):
                values = getattr(found, name)
                fits = values is None or values.shape == vectors.shape[:2]
                self.require(fits, f"returns a {name} that is not one number for each step and slot")
            likely = found.presence is None or bool(((found.presence >= 0) & (found.presence <= 1)).all())
            self.require(likely, "returns a presence outside 0 to 1, which is no probability")

        for_all(check, self.examples, tenths=sizes(1, round(10 * self.seconds)))

    def test_what_is_heard_matters(self) -> None:
        """Another recording, another end of it and another second channel each give something else."""
        embedder, samples = self.build(), round(self.seconds * self.rate)
        swing = torch.sin(torch.linspace(0, 2000 * self.seconds, samples))[None]
        quiet, noisy = 0.3 * swing, 0.5 * wave(0, 1, samples)
        half = torch.arange(samples) < samples // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it may say that it mixes channels
            for what, one, other in (
                ("recording", quiet, noisy),
                ("second half", noisy, torch.where(half, noisy, quiet)),
                ("second channel", noisy.expand(2, -1), torch.cat([noisy, quiet])),
            ):
                before, after = (self._embedded(embedder, recording).vectors for recording in (one, other))
                same = before.shape == after.shape and np.allclose(before, after, rtol=0, atol=1e-7)
                self.require(not same, f"gives the same vectors whatever its {what} holds: read all that comes")

    def test_blocks_do_not_matter(self) -> None:
        """However the recording is cut into blocks, the embedding is the same."""
        embedder = self.build()

        def check(seed: int, size: int) -> None:
            recording = wave(seed, 1, round(self.seconds * self.rate))
            whole, cut = self._embedded(embedder, recording), self._embedded(embedder, recording, size)
            self._require_same(cut, whole, f"gives something else of blocks of {size} samples than of one")

        for_all(check, self.examples, size=sizes(700, 30000))

    def test_each_recording_begins_anew(self) -> None:
        """What was heard before does not matter."""
        embedder = self.build()
        one, other = (wave(seed, 1, round(self.seconds * self.rate)) for seed in (1, 2))
        first = self._embedded(embedder, one)
        self._embedded(embedder, other)
        self._require_same(self._embedded(embedder, one), first, "remembers the recording before")

    def test_recordings_at_once_do_not_mix(self) -> None:
        """Two recordings may be embedded in turn, block by block: each has a state of its own."""
        embedder = self.build()
        recordings = [wave(seed, 1, round(self.seconds * self.rate)) for seed in (1, 2)]
        expected = [self._embedded(embedder, recording, 4000) for recording in recordings]
        streams = [embedder(iter(recording.split(4000, dim=1)), self.rate) for recording in recordings]
        turns = list(itertools.zip_longest(*streams))
        for number, whole in enumerate(expected):
            found = joined([turn[number] for turn in turns if turn[number] is not None])
            self._require_same(found, whole, "mixes up two recordings that are embedded in turn")

    def test_blocks_are_left_unchanged(self) -> None:
        """The blocks belong to whoever reads the recording, who may need them again."""
        recording = wave(0, 1, round(self.seconds * self.rate))
        before = recording.clone()
        self._embedded(self.build(), recording, 4000)
        self.require(torch.equal(recording, before), "writes to the blocks that it is given")

    def test_any_rate_and_number_of_channels(self) -> None:
        """A recording is heard at any sample rate and with any number of channels; times stay seconds."""
        embedder = self.build()
        expected = self._embedded(embedder, wave(0, 1, round(self.seconds * self.rate)))
        for rate, channels in ((8000, 1), (44100, 2)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it may say that it mixes channels
                found = self._embedded(embedder, wave(0, channels, round(self.seconds * rate)), rate=rate)
            near = len(found) == len(expected) and np.allclose(found.times, expected.times, atol=0.02)
            self.require(near, f"gives {len(found)} steps at {rate} Hz and {len(expected)} at {self.rate} Hz")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twice = self._embedded(embedder, wave(0, 1, round(self.seconds * self.rate)).expand(2, -1))
        self._require_same(twice, expected, "gives something else of two equal channels than of one")

    def test_silence_is_finite(self) -> None:
        """Digital silence is normal input."""
        found = self._embedded(self.build(), torch.zeros(1, round(self.seconds * self.rate)))
        for name in ("vectors", "presence", "level"):
            values = getattr(found, name)
            finite = values is None or bool(np.isfinite(values).all())
            self.require(finite, f"returns {name} that {'are' if name == 'vectors' else 'is'} not finite for silence")

    def test_it_gives_while_it_hears(self) -> None:
        """Recordings of any length take constant memory: what is finished comes before the recording is over."""
        taken = 0

        def blocks() -> Iterator[Float[Tensor, "channels _"]]:
            nonlocal taken
            for number in range(round(self.endless)):
                taken = number + 1
                yield wave(number, 1, self.rate)

        next(iter(self.build()(blocks(), self.rate)))
        self.require(taken < self.endless, f"gives nothing before {taken} s are over")

    def test_no_global_generator_advances(self) -> None:
        """Embeddings neither depend on nor advance the generators that everybody shares."""
        recording = wave(0, 1, round(self.seconds * self.rate))
        embedder = self.build()
        with seeded(1):
            before = global_randomness()
            first = self._embedded(embedder, recording)
            self.require(global_randomness() == before, "draws from a global generator")
        with seeded(2):
            self._require_same(self._embedded(embedder, recording), first, "depends on a global seed")

    def exercise(self) -> None:
        """Build it and embed a recording."""
        self._embedded(self.build(), wave(0, 1, round(self.seconds * self.rate)))

    def _embedded(
        self, embedder: Embedder, recording: Float[Tensor, "channels _"], size: int | None = None, rate: int = 0
    ) -> Embedding:
        blocks: Sequence[Tensor] = recording.split(size or recording.shape[1], dim=1)
        return joined(list(embedder(iter(blocks), rate or self.rate)))

    def _require_same(self, found: Embedding, expected: Embedding, how: str) -> None:
        same = len(found) == len(expected) and np.allclose(found.times, expected.times, atol=1e-6)
        near = same and np.allclose(found.vectors, expected.vectors, atol=self.tolerance)
        self.require(near, how)
