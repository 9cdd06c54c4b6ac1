"""Small options for the built-ins, and what each of them promises; several variants where one hides a path."""

from pathlib import Path

import numpy as np
import soundfile

from slotaudio import Spec
from slotaudio.testing.drawing import noise, wave
from slotaudio.types import Features

BANDS = ((0, 4), (4, 10), (10, 16))
STAGE = {"compiles": True, "exports": True}


def one_folder_per_speaker(suite, folder: Path) -> dict:
    """Write three speakers with two utterances of a second each."""
    for speaker in range(3):
        (folder / f"speaker{speaker}").mkdir()
        for utterance in range(2):
            samples = wave(10 * speaker + utterance, 16000).numpy() / 2
            samples[4000:6000] = 0
            soundfile.write(folder / f"speaker{speaker}" / f"{utterance}.flac", samples.astype(np.float32), 16000)
    return {"path": str(folder)}


def librispeech_and_a_list(suite, folder: Path) -> dict:
    """Write a list of LibriMix's beside the speakers."""
    found = one_folder_per_speaker(suite, folder)
    for path in folder.rglob("*.flac"):  # where only the names count
        path.rename(path.with_name(f"{path.parent.name}-0-{path.name}"))
    each = ",".join(f"source_{n}_path,source_{n}_gain" for n in (1, 2))
    rows = [f"mix{n},speaker{n}-0-0.flac,0.5,speaker{n - 1}-0-1.flac,0.7" for n in (1, 2)]
    (folder / "list.csv").write_text("\n".join([f"mixture_ID,{each}", *rows]) + "\n")
    return {**found, "metadata": str(folder / "list.csv")}


def grid_of_bands(suite, seed: int, batch: int, frames: int) -> Features:
    """One token per frame and band, as `band_split` makes them."""
    tokens = frames * len(BANDS)
    return Features(noise(seed, batch, 1, tokens, suite.in_dim), wave(0, tokens, 2))


VARIANTS = {
    ("frontend", "stft"): {
        # the paper's framing drops the highest bin, of which white noise has its share
        "": {"margin": 512, "inverse_tolerance": 0.12, "longest": 2000, **STAGE},
        "centred": {
            "options": {"window": 64, "hop": 16, "framing": "centred", "features": "complex"},
            "inverse_tolerance": 1e-3,
            **STAGE,
        },
    },
    ("frontend", "waveform"): {"": {"options": {"channels": 2}, **STAGE}},
    ("encoder", "resnet"): {
        "": {"options": {"depth": 10, "width": 4, "skips": True}, **STAGE},
    },
    ("encoder", "band_split"): {"": {"options": {"dim": 6, "hidden": 4}}},
    ("bottleneck", "transformer"): {
        "": {
            "options": {"slot_dim": 8, "layers": 2, "heads": 2, "qkv_dim": 8, "mlp_dim": 12, "presence": True},
            "attention_over": "tokens",
            **STAGE,
        },
    },
    ("bottleneck", "slot_attention"): {
        "": {"options": {"slot_dim": 8, "presence": True}, "attention_over": "slots", **STAGE},
        "gaussian": {"options": {"slot_dim": 8, "initial": "gaussian"}, "attention_over": "slots"},
        "bi_level": {
            "options": {"slot_dim": 8, "gradient": "bi_level"},
            "attention_over": "slots",
            "exact_gradients": False,
        },
        "implicit": {
            "options": {"slot_dim": 8, "gradient": "implicit", "epsilon": 1.0},
            "attention_over": "slots",
            "exact_gradients": False,
            "unused": ("mean",),  # nothing reaches the initial slots, and the component says so
        },
    },
    ("bottleneck", "carry_over"): {
        "": {
            "options": {"bottleneck": Spec("slot_attention", slot_dim=8, iterations=1), "heads": 2},
            "attention_over": "slots",
        },
    },
    ("decoder", "spatial_broadcast"): {
        "": {"options": {"hidden": 12, "layers": 2, "waves": (3, 2)}, **STAGE},
        "gaussian": {
            "options": {"hidden": 12, "layers": 1, "waves": (3, 2), "code": "gaussian", "patch": (4, 2)},
        },
    },
    ("decoder", "mask"): {
        "": {
            "options": {"hidden": 4},
            "stages": {"bands": BANDS},
            "features": grid_of_bands,
            "slots_interact": True,
        },
        "rest": {
            "options": {"hidden": 4, "rest": True},
            "stages": {"bands": BANDS},
            "features": grid_of_bands,
            "slots_interact": True,
        },
    },
    ("matcher", "hungarian"): {"": {}},
    ("matcher", "exhaustive"): {"": {}},
    ("matcher", "fixed"): {"": {"optimal": False, "labelled": True}},
    ("objective", "autoencoder"): {"": {"perfect": "mixture"}},
    ("objective", "mixit"): {"": {"mean_over_items": False, "perfect": None}},
    ("objective", "semi_supervised"): {"": {}},
    ("objective", "speaker_labels"): {"": {"perfect": None}},  # what it adds looks at slots
    ("objective", "remix"): {
        # its teacher separates with a generator on the device
        "": {"mean_over_items": False, "perfect": None, "simulated": False},
    },
    ("dataset", "synthetic"): {"": {"options": {"seconds": 0.5, "size": 4}}},
    ("dataset", "folder"): {
        "": {"options": {"seconds": 0.5, "size": 4}, "prepare": one_folder_per_speaker},
        "around": {
            "options": {"seconds": 0.5, "size": 4, "noise": "synthetic", "snr": (0.0, 9.0), "rooms": "synthetic"},
            "prepare": one_folder_per_speaker,
            "beside": 1.0,  # the noise
        },
    },
    ("dataset", "blend"): {
        "": {
            "options": {
                "seconds": 3.0,
                "size": 4,
                "shares": {"pairs": 1.0, "talks": 1.0},
                "parts": {"pairs": {"name": "folder"}, "talks": {"name": "conversations"}},
            },
            "prepare": one_folder_per_speaker,
        }
    },
    ("dataset", "librimix"): {
        "": {"options": {"seconds": 0.5, "size": 4}, "prepare": one_folder_per_speaker},
        "listed": {"options": {"seconds": 0.5}, "prepare": librispeech_and_a_list, "beside": 2 / 32768},
    },
    ("dataset", "conversations"): {"": {"options": {"seconds": 3.0, "size": 3}, "prepare": one_folder_per_speaker}},
    ("embedder", "slots"): {"": {"endless": 10.0, "examples": 3}},
}
