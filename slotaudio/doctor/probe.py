"""The part of the doctor that loads libraries which may bring a process down: run as a process of its own.

``python -m slotaudio.doctor.probe`` prints a line of JSON per stage, and none for the stage that it dies in.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

SECONDS = 4.0
"""Of the bundled mixture that the self test separates."""


def _soundfile() -> Mapping[str, Any]:
    import soundfile

    return {
        "version": soundfile.__version__,
        "library": soundfile.__libsndfile_version__,
        "mp3": "MP3" in soundfile.available_formats(),
    }


def _torch() -> Mapping[str, Any]:
    import torch

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "version": torch.__version__,
        "cuda_build": torch.version.cuda,
        "devices": ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])],
        "threads": torch.get_num_threads(),
    }


def _self_test() -> Mapping[str, Any]:
    from slotaudio import Separator, metrics
    from slotaudio.data.bundled import demo_list, speech
    from slotaudio.data.folder import FolderMixtures

    separator = Separator.from_pretrained(keep_noise=True)  # whose outputs add up
    mixture, references, _ = FolderMixtures(speech("dev"), seconds=SECONDS, mixtures=demo_list())[0]
    begun = time.perf_counter()
    sources = separator(mixture, 16000).sources
    took = time.perf_counter() - begun
    score = metrics.score(sources[None], references[None], mixture[None], separator.model.matcher)
    return {
        "real_time_factor": took * 16000 / mixture.shape[-1],
        "cleaner": bool((score.values["si_sdr_i"] > 0).all()),
        "adds_up": bool((sources.sum(0) - mixture).abs().max() < 1e-3),
    }


def _torchaudio() -> Mapping[str, Any]:
    from slotaudio.resampling import torchaudio

    return {"version": torchaudio().__version__}


STAGES: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "soundfile": _soundfile,
    "torch": _torch,
    "self_test": _self_test,
    "torchaudio": _torchaudio,  # last: a library that was built for another torch may end the process
}


def main() -> None:
    """Go through the stages, each whatever became of the others."""
    for name, stage in STAGES.items():
        try:
            found = dict(stage())
        except Exception as error:  # anything may come out of a broken library
            found = {"error": str(error) if name == "torchaudio" else f"{type(error).__name__}: {error}"}
        print(json.dumps({"stage": name, **found}), flush=True)


if __name__ == "__main__":
    main()
