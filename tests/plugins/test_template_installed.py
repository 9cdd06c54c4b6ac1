"""A generated plug-in, built and installed with the core's own wheel in a fresh environment, works there."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, Path]:
    """Return the programs of a fresh environment with both wheels, and the generated project.

    Everything else, torch above all, comes from the environment of the tests; nothing comes from the network.
    """
    work = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "slotaudio", "new-plugin", "sparkle", "-o", work, cwd=work)
    wheels = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "-w", work / "wheels"]
    run(sys.executable, "-m", "pip", "wheel", *wheels, ROOT, work / "slotaudio-sparkle", cwd=work)
    venv.create(work / "venv", symlinks=os.name != "nt")
    programs = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=work).strip())
    borrowed = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    offline = ["-q", "--no-deps", "--no-index", "--ignore-installed"]
    wheels = sorted((work / "wheels").glob("*.whl"))
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, *wheels, cwd=work)
    return programs, work / "slotaudio-sparkle"


def test_the_wheels_are_what_is_imported(installed):
    programs, project = installed
    code = "import slotaudio, slotaudio_sparkle; print(slotaudio.__file__, slotaudio_sparkle.__file__, sep='\\n')"
    for path in run(programs / "python", "-c", code, cwd=project.parent).split():
        assert Path(path).is_relative_to(programs.parent)


def test_its_component_is_listed(installed):
    programs, project = installed
    listed = run(programs / "python", "-m", "slotaudio", "components", "encoder", cwd=project.parent, COLUMNS="200")
    assert "sparkle" in listed
    assert "Turn every frame into one token.  (sparkle)" in listed


def test_its_conformance_test_passes(installed):
    programs, project = installed
    report = run(programs / "python", "-m", "pytest", cwd=project, SLOTAUDIO_PLUGINS="sparkle")
    assert "plug-ins: sparkle 0.1.0" in report
    assert " passed" in report
    assert "failed" not in report


def test_a_defect_is_named_in_the_report(installed):
    """The author reads which contract is broken, and by which component."""
    programs, project = installed
    source = project / "slotaudio_sparkle" / "encoder.py"
    healthy = source.read_text()
    source.write_text(healthy.replace("self.project(rearrange(features,", "self.project(rearrange(features.detach(),"))
    try:
        done = subprocess.run(
            [programs / "python", "-m", "pytest", "-q", "-k", "gradients_reach or described"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project), "SLOTAUDIO_PLUGINS": "sparkle"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        source.write_text(healthy)
    assert done.returncode == 1
    assert "FAILED tests/test_sparkle.py::TestSparkle::test_gradients_reach_the_inputs" in done.stdout
    assert "encoder 'sparkle' cuts the gradient to its input features" in done.stdout
