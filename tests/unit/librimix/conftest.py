"""What tests of LibriMix share; lets them import what lies beside them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """LibriSpeech with three speakers, WHAM's noise, a list of pairs and one of triples."""
    from small_librimix import KEYS, PART, write_list

    root = tmp_path_factory.mktemp("librimix")
    for n, key in enumerate(KEYS):
        speaker, chapter, _ = key.split("-")
        path = root / "LibriSpeech" / PART / speaker / chapter / f"{key}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(n)
        soundfile.write(path, 0.15 * rng.normal(size=20000 + 1777 * n).clip(-3, 3), 16000)
    (root / "wham/tr").mkdir(parents=True)
    rng = np.random.default_rng(9)
    soundfile.write(root / "wham/tr/long.wav", 0.05 * rng.normal(size=(40000, 2)), 16000)
    soundfile.write(root / "wham/tr/short.wav", 0.05 * rng.normal(size=9000), 16000)
    (root / "metadata/Libri2Mix").mkdir(parents=True)
    (root / "metadata/Libri3Mix").mkdir()
    pairs = [(KEYS[0], KEYS[1]), (KEYS[4], KEYS[2]), (KEYS[3], KEYS[5])]
    write_list(root / f"metadata/Libri2Mix/libri2mix_{PART}.csv", pairs)
    write_list(root / f"metadata/Libri3Mix/libri3mix_{PART}.csv", [(KEYS[0], KEYS[1], KEYS[4])])
    return root
