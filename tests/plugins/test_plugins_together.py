"""The packages in plugins/, built and installed beside each other: every combination trains or says why not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_in_plugins_combines_with_everything(tmp_path):
    projects = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
    options = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, projects)], check=True)
    names = ",".join(project.name.removeprefix("slotaudio-") for project in projects)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/conformance/test_combinations.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "SLOTAUDIO_PLUGINS": names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for project in projects:
        assert project.name.removeprefix("slotaudio-") in done.stdout.partition("collected")[0]
