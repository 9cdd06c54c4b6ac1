"""Packages built and installed for real, and commands run with them."""

import os
import subprocess
import sys
from pathlib import Path

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "slotaudio-{plugin}"
version = "{version}"
[project.entry-points.slotaudio]
{plugin} = "slotaudio_{plugin}"
[tool.hatch.build.targets.wheel]
packages = ["slotaudio_{plugin}"]
"""

OFFERS = """
import slotaudio
{more}
@slotaudio.hookimpl
def slotaudio_encoders():
    return {offered}
"""


def offers(name: str, target: str, more: str = "") -> str:
    return OFFERS.format(offered={name: target}, more=more)


def write(folder: Path, plugin: str, files: dict[str, str], version: str) -> Path:
    package = folder / plugin / f"slotaudio_{plugin}"
    package.mkdir(parents=True)
    (folder / plugin / "pyproject.toml").write_text(PYPROJECT.format(plugin=plugin, version=version))
    for name, text in files.items():
        (package / name).write_text(text)
    return folder / plugin


def install(target: Path, *projects: Path) -> None:
    options = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, projects)], check=True)


def installed(work: Path, packages: dict[str, dict[str, str]]) -> Path:
    """Return a folder with every package installed, to be put on the path."""
    install(work / "site", *(write(work, plugin, files, "1.0") for plugin, files in packages.items()))
    return work / "site"


def run(*command: object, site: Path | None = None, only: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with the installed packages on its path, all of them or `only` some."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLOTAUDIO_")}
    environment |= {"COLUMNS": "300"} | ({"PYTHONPATH": str(site)} if site else {})
    environment |= {} if only is None else {"SLOTAUDIO_PLUGINS": only}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def answer(code: str, site: Path | None, only: str | None = None) -> str:
    """Run code that fails with an error of slotaudio; return what the error says."""
    caught = (
        f"from slotaudio.errors import SlotaudioError\ntry:\n    {code}\nexcept SlotaudioError as error: print(error)"
    )
    return run("-W", "ignore", "-c", caught, site=site, only=only).stdout
