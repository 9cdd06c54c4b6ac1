"""What is built is what runs: the wheel holds everything that the code reads beside itself."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_recipes_speech_licences_and_types(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    package = [path.relative_to(ROOT) for path in (ROOT / "slotaudio").rglob("*") if path.is_file()]
    expected = {path.as_posix() for path in package if path.suffix not in (".pyc",)}
    assert {name for name in names if name.startswith("slotaudio/")} == expected
    assert {"slotaudio/py.typed", "slotaudio/recipes/audioslots.toml", "slotaudio/assets/speech/demo.csv"} <= expected
    licences = [name for name in names if "/licenses/" in name]
    assert any(name.endswith("/LICENSE") for name in licences)
    assert any(name.endswith("speech/ATTRIBUTION.md") for name in licences)


def test_the_download_stays_small(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size < 30e6
    assert sum(entry.file_size for entry in zipfile.ZipFile(wheel).infolist()) < 30e6  # installed


def test_the_source_archive_can_run_its_own_tests(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "slotaudio/__init__.py"} <= names


def test_torch_is_capped_where_torchaudio_ends():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch>=2.11,<2.15" in project["dependencies"]
    assert all("==" not in dependency for dependency in project["dependencies"])


def test_every_paper_that_code_cites_is_on_the_page_of_papers():
    cited = re.compile(r"arXiv\s+(\d{4}\.\d{4,5})")
    code = [path for place in ("slotaudio", "plugins") for path in (ROOT / place).rglob("*.py")]
    named = {number for path in code for number in cited.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert named <= set(cited.findall((ROOT / "docs/reference/papers.md").read_text(encoding="utf-8")))
