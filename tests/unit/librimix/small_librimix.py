"""LibriMix in small: a corpus, its lists, and the arithmetic of the official generator, stated once more."""

import csv

import numpy as np
import soundfile
from scipy.signal import resample_poly

from slotaudio.data.librimix import LibriMix

KEYS = ["19-198-0001", "26-495-0007", "19-198-0002", "26-496-0000", "27-123-0000", "27-123-0001"]


PART = "train-clean-100"


def generated(out, librispeech, noises, table, rate, mode, sources=2):
    """Write what `create_librimix_from_metadata.py` writes: whole utterances, one operation after the other."""
    folder = out / f"wav{rate // 1000}k" / mode / "train-100"
    ids = []
    for row in csv.DictReader(table.read_text().splitlines()):
        waves, gains = [], []
        for n in range(1, sources + 1):
            waves.append(soundfile.read(librispeech / row[f"source_{n}_path"], dtype="float32")[0])
            gains.append(float(row[f"source_{n}_gain"]))
        longest = max(map(len, waves))
        noise, _ = soundfile.read(noises / row["noise_path"], dtype="float32", stop=longest)
        noise = noise[:, 0] if noise.ndim > 1 else noise
        window = np.hanning(16001)
        rise, fall = window[:8001], window[8000::-1]
        extended = noise
        while len(extended) < longest:
            middle = np.multiply(extended[len(extended) - 8001 :], fall) + np.multiply(noise[:8001], rise)
            extended = np.concatenate((extended[: len(extended) - 8001], middle, noise[8001:]))
        waves.append(extended[:longest])
        gains.append(float(row["noise_gain"]))
        waves = [resample_poly(wave * gain, rate, 16000) for wave, gain in zip(waves, gains, strict=True)]
        if mode == "min":
            waves = [wave[: min(map(len, waves))] for wave in waves]
        else:
            waves = [np.pad(wave, (0, max(map(len, waves)) - len(wave))) for wave in waves]
        both, single = np.zeros_like(waves[0]), np.zeros_like(waves[0])
        for wave in waves[:-1]:
            both += wave
        clean = both.copy()
        both += waves[-1]
        for wave in (waves[0], waves[-1]):
            single += wave
        named = {"mix_clean": clean, "mix_both": both, "mix_single": single, "noise": waves[-1]}
        named |= {f"s{n}": wave for n, wave in enumerate(waves[:-1], start=1)}
        for name, wave in named.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name / f"{row['mixture_ID']}.wav", wave, rate)
        ids.append(row["mixture_ID"])
    (folder.parent / "metadata").mkdir(exist_ok=True)
    for kind in ("mix_clean", "mix_both", "mix_single"):
        listed = folder.parent / "metadata" / f"mixture_train-100_{kind}.csv"
        listed.write_text("mixture_ID,mixture_path\n" + "".join(f"{name},/elsewhere/{name}.wav\n" for name in ids))


def write_list(path, pairs, noises=("tr/long.wav", "tr/short.wav", "tr/long.wav")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        each = [f"source_{n}_{what}" for n in range(1, len(pairs[0]) + 1) for what in ("path", "gain")]
        writer.writerow(["mixture_ID", *each, "noise_path", "noise_gain"])
        for number, pair in enumerate(pairs):
            cells = []
            for place, key in enumerate(pair):
                speaker, chapter, _ = key.split("-")
                cells += [f"{PART}/{speaker}/{chapter}/{key}.flac", 0.40543237088249506 + 0.31 * place]
            writer.writerow(["_".join(pair), *cells, noises[number % len(noises)], 1.9167927521589363])
    return path


def listed(corpus, **options):
    return LibriMix(corpus, **{"subset": "train-100", "metadata": corpus / "metadata", **options})
