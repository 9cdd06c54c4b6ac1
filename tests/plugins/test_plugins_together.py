"""The packages in plugins/, built and installed beside each other: every combination trains or says why not."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
NAMES = [project.name.removeprefix("slotaudio-") for project in PROJECTS]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with every package installed, to be put on the path."""
    site = tmp_path_factory.mktemp("site")
    options = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, PROJECTS)], check=True)
    return site


def run(*arguments: str, site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "SLOTAUDIO_PLUGINS": ",".join(NAMES), "COLUMNS": "300"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_everything_in_plugins_combines_with_everything(site):
    done = run("pytest", "-p", "no:cacheprovider", "tests/conformance/test_combinations.py", site=site, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    for name in NAMES:
        assert name in done.stdout.partition("collected")[0]


def resources(package: Path) -> set[str]:
    """Return what a package holds beside its code: recipes, the mark that it is typed."""
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return {str(path.relative_to(package)) for path in files}


def test_their_recipes_come_with_them(site):
    """What is installed, not what lies beside it in the repository, is listed and read."""
    done = run("slotaudio", "recipes", site=site, cwd=site)
    assert done.returncode == 0, done.stderr
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    for plugin in NAMES:
        files = sorted((ROOT / "plugins").glob(f"*/slotaudio_{plugin}/recipes/*.toml"))
        package = f"slotaudio_{plugin}"
        assert resources(site / package) == resources(ROOT / "plugins" / f"slotaudio-{plugin}" / package)
        about = {path.stem: tomllib.loads(path.read_text())["about"] for path in files}
        assert {name: line for name, line in listed if line.endswith(f"({plugin})")} == {
            name: f"{line}  ({plugin})" for name, line in about.items()
        }
