"""Babble: several voices at once behind those that are to be separated."""

from collections.abc import Callable, Collection

import numpy as np
from jaxtyping import Float

from slotaudio.data.mixing import SILENCE_DB, active_level
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError

VOICES = (4, 8)
"""The least and the most that are drawn, where there are so many."""

FEWEST = 2
"""One voice would be another source, not babble."""

_RANGE_DB = 6.0
_PIECES = 100


class Babble:
    """Lets other speakers of a folder talk all at once, each up to 6 dB softer than the loudest may be.

    Args:
        folder: one folder per speaker.
        present: how many speakers a mixture has at most; they never are among its babble.

    Raises:
        DataError: too few speakers.
    """

    def __init__(self, folder: SpeechFolder, present: int) -> None:
        if len(folder.speakers) < present + FEWEST:
            raise DataError(
                f"babble behind {present} speakers needs at least {present + FEWEST}; there are "
                f"{len(folder.speakers)} in {folder.path}"
            )
        self.folder = folder

    def draw(
        self,
        rng: np.random.Generator,
        samples: int,
        present: Collection[str],
        place: Callable[[Float[np.ndarray, "time"]], Float[np.ndarray, "time"]],
    ) -> Float[np.ndarray, "time"]:
        """Return that many samples of voices other than those of `present`, each of them put somewhere by `place`.

        Raises:
            UnreadableUtterance: see `SpeechFolder.read`.
        """
        others = [speaker for speaker in self.folder.speakers if speaker not in present]
        voices = min(len(others), int(rng.integers(VOICES[0], VOICES[1] + 1)))
        babble = np.zeros(samples, dtype=np.float32)
        for which in rng.choice(len(others), voices, replace=False):
            voice = self._talk(rng, others[which], samples)
            loud = active_level(voice, self.folder.rate)
            if loud > SILENCE_DB:
                babble += place(voice) * np.float32(10 ** ((-rng.uniform(0.0, _RANGE_DB) - loud) / 20))
        return babble

    def _talk(self, rng: np.random.Generator, speaker: str, samples: int) -> Float[np.ndarray, "time"]:
        """Return utterances of a speaker, one after another, the first from somewhere within."""
        utterances = self.folder.speakers[speaker]
        pieces: list[Float[np.ndarray, "time"]] = []
        missing = samples
        while missing > 0 and len(pieces) < _PIECES:
            utterance = utterances[rng.integers(len(utterances))]
            available = self.folder.length(utterance)
            start = 0 if pieces else int(rng.integers(available))
            pieces.append(self.folder.read(utterance, start, min(missing, available - start)))
            missing -= len(pieces[-1])
        return np.pad(np.concatenate(pieces), (0, max(0, missing)))
