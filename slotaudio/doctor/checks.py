"""The doctor's findings, one function per area; nothing here imports torch."""

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from slotaudio import __version__
from slotaudio.doctor.probe import SECONDS, STAGES

_EXTRAS = {
    "train": "slotaudio train",
    "demo": "slotaudio demo --web",
    "quality": "slotaudio evaluate --measures",
    "export": "slotaudio export to ONNX",
    "docs": "building the documentation",
    "test": "running the tests",
}
_LEAST_FREE = 1e9
_PATIENCE = 300.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str
    name: str
    state: str
    """``"ok"``, ``"absent"`` (optional, and not installed), ``"note"`` (works, but good to know) or ``"broken"``."""
    found: str
    cure: str = ""
    """What to do about it."""


def diagnose() -> list[Finding]:
    """Look at versions, libraries, extras, plug-ins, devices, disks and models, and separate four seconds.

    What may bring a process down, PyTorch before all, is loaded in another one.
    """
    probed = probe()
    return [
        Finding("versions", "slotaudio", "ok", __version__),
        Finding("versions", "python", "ok", f"{platform.python_version()}, {platform.platform()}"),
        *_packages(),
        *_libraries(probed),
        *_self_test(probed),
        *_extras(),
        *_plugins(),
        *_models(),
        *_disks(),
    ]


@dataclass(frozen=True)
class Probed:
    """What `slotaudio.doctor.probe` found, and how it ended."""

    stages: Mapping[str, Mapping[str, Any]]
    end: str

    def stage(self, name: str) -> Mapping[str, Any]:
        """Return what a stage found; ``error`` says why it found nothing."""
        if name in self.stages:
            return self.stages[name]
        died = next(stage for stage in STAGES if stage not in self.stages)
        return {"error": self.end if died == name else f"was not tried, because {died} {self.end}"}


def probe() -> Probed:
    """Load the libraries and separate, in another process."""
    command = [sys.executable, "-W", "ignore", "-m", "slotaudio.doctor.probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        out, end = done.stdout, _how_it_ended(done.returncode, done.stderr)
    except subprocess.TimeoutExpired as late:
        out = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        end = f"does not answer within {_PATIENCE:.0f} s"
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('{"stage"')]
    return Probed({line.pop("stage"): line for line in lines}, end)


def _how_it_ended(code: int, errors: str) -> str:
    if code < 0:
        return f"brings Python down ({signal.Signals(-code).name})"
    return f"ends Python (exit code {code}): {(errors.strip().splitlines() or ['no reason given'])[-1]}"


def _packages() -> Iterator[Finding]:
    """Whether what slotaudio needs is installed in versions that fit; PyTorch by name."""
    fit = 0
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _version(requirement.name)
        fits = found is not None and requirement.specifier.contains(found, prereleases=True)
        wanted = f"{requirement.name}{requirement.specifier}"
        if not fits:
            what = f"{found} does not fit {requirement.specifier}" if found else "is not installed"
            yield Finding("versions", requirement.name, "broken", what, f'pip install "{wanted}"')
        elif requirement.name in ("torch", "torchaudio"):
            yield Finding("versions", requirement.name, "ok", f"{found} (fits {requirement.specifier})")
        else:
            fit += 1
    yield Finding("versions", "other packages", "ok", f"{fit} in versions that fit")


def _libraries(probed: Probed) -> Iterator[Finding]:
    sound, torch, torchaudio = (probed.stage(name) for name in ("soundfile", "torch", "torchaudio"))
    if "error" in sound:
        cure = "pip install --force-reinstall soundfile"
        yield Finding("libraries", "soundfile", "broken", sound["error"], cure)
    else:
        about = f"{sound['version']}, libsndfile {sound['library']}"
        old = "" if sound["mp3"] else "no MP3 without a newer libsndfile: pip install --upgrade soundfile"
        yield Finding("libraries", "soundfile", "note" if old else "ok", about, old)
    if "error" in torch:
        wanted = next((str(one) for one in _requirements() if one.name == "torch"), "torch")
        yield Finding("libraries", "torch", "broken", torch["error"], f'pip install --force-reinstall "{wanted}"')
    else:
        build = f"built for CUDA {torch['cuda_build']}" if torch["cuda_build"] else "without CUDA"
        yield Finding("libraries", "torch", "ok", f"loads, {build}")
        yield Finding("libraries", "devices", "ok", ", ".join(torch["devices"]))
        threads = os.environ.get("OMP_NUM_THREADS")
        why = f"OMP_NUM_THREADS={threads}" if threads else f"{_cores()} usable cores"
        yield Finding("libraries", "threads", "ok", f"{torch['threads']} ({why})")
    if "error" not in torchaudio:
        yield Finding("libraries", "torchaudio", "ok", "loads")
    elif "error" in torch:
        yield Finding("libraries", "torchaudio", "note", "cannot be judged before torch loads")
    else:
        cure = 'only MFCC and mel features need it: pip install "torch>=2.11,<2.15" torchaudio==2.11.0'
        yield Finding("libraries", "torchaudio", "broken", torchaudio["error"], cure)


def _self_test(probed: Probed) -> Iterator[Finding]:
    test = probed.stage("self_test")
    if "error" in test:
        blamed = "error" in probed.stage("torch")
        found = "was not tried, because torch does not load" if blamed else test["error"]
        cure = "" if blamed else "pip install --force-reinstall --no-deps slotaudio"
        yield Finding("self test", "separation", "note" if blamed else "broken", found, cure)
        return
    factor = test["real_time_factor"]
    about = f"{SECONDS:.0f} s of two voices; real-time factor {factor:.2f} ({1 / factor:.1f} times as fast as it plays)"
    if test["cleaner"] and test["adds_up"]:
        yield Finding("self test", "separation", "ok", about)
    else:
        wrong = "do not add up to the mixture" if test["cleaner"] else "are no cleaner than the mixture"
        cure = "pip install --force-reinstall --no-deps slotaudio; if that is no cure, this torch computes wrongly here"
        yield Finding("self test", "separation", "broken", f"the sources {wrong}", cure)


def _extras() -> Iterator[Finding]:
    for extra, purpose in _EXTRAS.items():
        needed = [one for one in _requirements() if one.marker is not None and one.marker.evaluate({"extra": extra})]
        missing = [one.name for one in needed if one.name != "slotaudio" and _version(one.name) is None]
        if missing:
            cure = f'pip install "slotaudio[{extra}]"'
            yield Finding("extras", extra, "absent", f"for {purpose}; missing: {', '.join(missing)}", cure)
        elif needed:
            yield Finding("extras", extra, "ok", f"for {purpose}")


def _plugins() -> Iterator[Finding]:
    from slotaudio.pluginmanager import plugin_manager
    from slotaudio.presets import PRESETS
    from slotaudio.registry import REGISTRIES

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is in `failures`
        manager = plugin_manager()
        for offers in (*REGISTRIES.values(), PRESETS):
            offers.offers()  # a hook that raises is found out now
    for name, _ in manager.list_name_plugin():
        origin = manager.distributions.get(name)
        yield Finding("plug-ins", name, "ok", f"{origin.package} {origin.version}" if origin else "of this process")
    for name, reasons in manager.failures.items():
        cure = "update or uninstall its package, or leave it out by SLOTAUDIO_PLUGINS=NAMES (those to load)"
        yield Finding("plug-ins", name, "broken", "; ".join(reasons), cure)


def _models() -> Iterator[Finding]:
    folders = Path(str(files("slotaudio"))) / "assets" / "models"
    paths = sorted(folders.glob("*/config.json"))
    cure = "pip install --force-reinstall --no-deps slotaudio"
    if not paths:
        yield Finding("models", "bundled", "broken", f"there are none in {folders}", cure)
    for path in paths:
        weights = path.with_name("model.safetensors")
        try:
            config, data = json.loads(path.read_text(encoding="utf-8")), weights.read_bytes()
            damaged = hashlib.sha256(data).hexdigest() != config["sha256"]
        except (OSError, ValueError, KeyError) as error:
            yield Finding("models", path.parent.name, "broken", f"{type(error).__name__}: {error}", cure)
            continue
        about = f"{len(data) / 1e6:.1f} MB, {config['slots']} slots, {config['sample_rate']} Hz"
        state = ("broken", f"{weights} is damaged (its SHA-256 differs)", cure) if damaged else ("ok", about)
        yield Finding("models", path.parent.name, *state)


def _disks() -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_CACHE

    for name, folder in (("model cache", HF_HUB_CACHE), ("temporary", tempfile.gettempdir()), ("here", os.getcwd())):
        there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
        free = shutil.disk_usage(there).free
        about = f"{free / 1e9:.1f} GB free in {folder}"
        if not os.access(there, os.W_OK):
            yield Finding("disks", name, "note", f"{folder} cannot be written to", "choose other folders for outputs")
        elif free < _LEAST_FREE:
            yield Finding("disks", name, "note", about, "make room before separating long recordings or training")
        else:
            yield Finding("disks", name, "ok", about)


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(text) for text in requires("slotaudio") or ()]
    except PackageNotFoundError:  # run from a copy that was not installed
        return []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def summary(findings: list[Finding]) -> Mapping[str, Any]:
    """Return findings in the words of JSON, with a verdict."""
    return {"ok": not any(one.state == "broken" for one in findings), "findings": [vars(one) for one in findings]}
