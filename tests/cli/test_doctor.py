"""`slotaudio doctor` on installations that are well, ill and dying."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slotaudio.doctor import checks
from slotaudio.doctor.checks import diagnose, summary

WELL = {
    "soundfile": {"version": "0.13", "library": "1.2", "mp3": True},
    "torch": {"version": "2.12", "cuda_build": None, "devices": ["cpu"], "threads": 2},
    "self_test": {"real_time_factor": 0.5, "cleaner": True, "adds_up": True},
    "torchaudio": {"version": "2.11"},
}


def examined(folder: Path, *arguments: str, **planted: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor where modules of these sources are found before the installed ones."""
    for name, source in planted.items():
        (folder / f"{name}.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "slotaudio", "doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def by_name(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["area"], row["name"]): row for row in json.loads(done.stdout)["findings"]}


def test_a_broken_torchaudio_is_told_apart_from_what_works(tmp_path):
    done = examined(tmp_path, "--json", torchaudio="raise RuntimeError('built for CUDA 13.0')")
    assert done.returncode == 1
    assert done.stderr == ""
    found = by_name(done)
    assert [name for name, row in found.items() if row["state"] == "broken"] == [("libraries", "torchaudio")]
    assert "RuntimeError: built for CUDA 13.0" in found["libraries", "torchaudio"]["found"]
    assert 'pip install "torch>=2.11,<2.15" torchaudio==2.11.0' in found["libraries", "torchaudio"]["cure"]
    assert "real-time factor" in found["self test", "separation"]["found"]
    assert found["libraries", "threads"]["found"] == "1 (OMP_NUM_THREADS=1)"
    assert {name for area, name in found if area == "models"} == {
        "audioslots-small",
        "band-split",
        "band-split-fast",
        "band-split-three",
    }
    assert "GB free" in found["disks", "temporary"]["found"]


@pytest.mark.parametrize(
    ("torch", "says"),
    [
        ("raise OSError('libcudart.so.13: cannot open shared object file')", "OSError: libcudart.so.13"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "brings Python down (SIGILL)"),
        ("import sys; sys.exit('no licence')", "ends Python (exit code 1): no licence"),
    ],
    ids=["raises", "dies", "exits"],
)
def test_a_broken_torch_is_named_with_the_cure_and_the_rest_is_told(tmp_path, torch, says):
    done = examined(tmp_path, torch=torch)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = next(index for index, line in enumerate(lines) if line.startswith("broken torch "))
    assert says in lines[at]
    assert lines[at + 1].startswith('pip install --force-reinstall "torch')
    assert "note separation was not tried, because torch does not load" in lines
    assert any(line.startswith("ok band-split") for line in lines)
    assert lines[-1] == "Broken: torch."


@pytest.fixture
def probe(monkeypatch):
    """Replace what the other process found."""
    stages = {name: dict(found) for name, found in WELL.items()}
    monkeypatch.setattr(checks, "probe", lambda: checks.Probed(stages, ""))
    return stages


def states(area: str) -> dict[str, str]:
    return {one.name: one.state for one in diagnose() if one.area == area}


def test_all_is_well(probe):
    found = summary(diagnose())
    assert found["ok"], [row for row in found["findings"] if row["state"] == "broken"]


@pytest.mark.parametrize("what", ["cleaner", "adds_up"])
def test_wrong_sources_are_no_success(probe, what):
    probe["self_test"][what] = False
    assert states("self test") == {"separation": "broken"}


def test_versions_that_do_not_fit_and_missing_packages(probe, monkeypatch):
    installed = {"torch": "2.16.0", "torchaudio": "2.11.0"}
    monkeypatch.setattr(checks, "requires", lambda _: ["torch>=2.11,<2.15", "torchaudio>=2.11", "einops", *EXTRA])
    monkeypatch.setattr(checks, "_version", installed.get)
    found = {(one.area, one.name): one for one in diagnose()}
    assert found["versions", "torch"].state == "broken"
    assert found["versions", "torch"].cure == 'pip install "torch<2.15,>=2.11"'
    assert found["versions", "torchaudio"].state == "ok"
    assert found["versions", "einops"].found == "is not installed"
    assert found["extras", "train"].state == "absent"  # optional: no illness
    assert found["extras", "train"].cure == 'pip install "slotaudio[train]"'
    assert ("extras", "demo") not in found


EXTRA = ['lightning>=2.5; extra == "train"']


def test_a_damaged_model_and_a_full_disk(probe, tmp_path, monkeypatch):
    for name in ("good", "bad"):
        folder = tmp_path / "assets" / "models" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights" if name == "good" else b"weight")
        digest = checks.hashlib.sha256(b"weights").hexdigest()
        (folder / "config.json").write_text(json.dumps({"sha256": digest, "slots": 2, "sample_rate": 8000}))
    monkeypatch.setattr(checks, "files", lambda _: tmp_path)
    assert states("models") == {"good": "ok", "bad": "broken"}
    usage = checks.shutil._ntuple_diskusage(10**10, 10**10, 0)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    assert set(states("disks").values()) == {"note"}


def test_the_doctor_itself_does_not_import_torch():
    code = (
        "import sys\nfrom slotaudio.doctor import checks\n"
        "checks.probe = lambda: checks.Probed({}, 'died')\nchecks.diagnose()\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
