"""`slotaudio new-plugin`: what it writes works, is clean, and is what plugins/slotaudio-template holds."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from slotaudio.cli import main
from slotaudio.registry import REGISTRIES
from slotaudio.testing import CONFORMANCE

TEMPLATE = Path(__file__).parents[2] / "plugins" / "slotaudio-template"


def new_plugin(*arguments: object) -> int:
    """Run the command; return its exit code."""
    try:
        main(["new-plugin", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def texts(folder: Path) -> dict[str, str]:
    generated = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in generated if ".hypothesis" not in path.parts}


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    for family in REGISTRIES:
        assert new_plugin(f"my-{family}", "--family", family, "-o", folder) == 0
    return folder


@pytest.mark.parametrize("family", REGISTRIES)
def test_what_it_writes_passes_the_suite(one_of_each, family, monkeypatch):
    project, package = one_of_each / f"slotaudio-my-{family}", f"slotaudio_my_{family}"
    monkeypatch.syspath_prepend(project)
    monkeypatch.syspath_prepend(project / "tests")
    offered = getattr(import_module(package), f"slotaudio_{family}s")()
    assert offered == {f"my_{family}": f"{package}.{family}:My{family.capitalize()}"}
    component = getattr(import_module(f"{package}.{family}"), f"My{family.capitalize()}")
    written = getattr(import_module(f"test_my_{family}"), f"TestMy{family.capitalize()}")
    assert issubclass(written, CONFORMANCE[family])
    assert written.component == f"my_{family}"
    suite = type("Suite", (written,), {"component": component, "examples": 2})
    for check in dir(suite):
        if check.startswith("test_"):
            getattr(suite(), check)()


def test_what_it_writes_is_clean(one_of_each):
    settings = ["--config", str(TEMPLATE.parents[1] / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--ignore", "RUF012"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings, str(one_of_each)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_template_of_the_repository_is_what_it_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("slotaudio.cli.new_plugin._check_free", lambda words, folder: None)  # it may be installed
    assert new_plugin("template", "-o", tmp_path) == 0
    assert texts(tmp_path / "slotaudio-template") == texts(TEMPLATE)


def test_it_says_what_comes_next(tmp_path, capsys):
    assert new_plugin("slotaudio-sparkle", "--family", "decoders", "-o", tmp_path) == 0
    said = capsys.readouterr().out
    project = tmp_path / "slotaudio-sparkle"
    for step in (f"pip install -e '{project}[test]'", "slotaudio components decoder", f"pytest {project}"):
        assert step in said


def test_nothing_is_written_over_unless_forced(tmp_path, capsys):
    assert new_plugin("sparkle", "-o", tmp_path) == 0
    mine = tmp_path / "slotaudio-sparkle" / "slotaudio_sparkle" / "encoder.py"
    mine.write_text("my work")
    assert new_plugin("sparkle", "-o", tmp_path) == 2
    assert "is there already" in capsys.readouterr().err
    assert mine.read_text() == "my work"
    assert new_plugin("sparkle", "-o", tmp_path, "--force") == 0
    assert "class Sparkle" in mine.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Sparkle"], "use lower-case letters and digits"),
        (["spark le"], "use lower-case letters and digits"),
        (["../sparkle"], "use lower-case letters and digits"),
        (["class"], "use lower-case letters and digits"),
        (["slotaudio-"], "use lower-case letters and digits"),
        (["resnet"], "plug-in 'slotaudio' has taken the encoder name 'resnet'"),
        (["sparkle", "--family", "flavour"], "no family named 'flavour'; the families are: frontend, encoder"),
    ],
)
def test_wrong_names_are_explained_and_nothing_is_written(tmp_path, capsys, arguments, message):
    assert new_plugin(*arguments, "-o", tmp_path) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_installed_is_not_replaced(tmp_path, monkeypatch, capsys):
    (tmp_path / "site" / "slotaudio_sparkle").mkdir(parents=True)
    (tmp_path / "site" / "slotaudio_sparkle" / "__init__.py").write_text("")
    (tmp_path / "site" / "slotaudio_glitter-1.2.dist-info").mkdir()
    (tmp_path / "site" / "slotaudio_glitter-1.2.dist-info" / "METADATA").write_text(
        "Name: slotaudio-glitter\nVersion: 1.2"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert new_plugin("sparkle", "-o", tmp_path / "new") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "a module 'slotaudio_sparkle' can be imported from" in said
    assert "such as my-sparkle" in said
    assert new_plugin("glitter", "-o", tmp_path / "new") == 2
    assert "a package 'slotaudio-glitter' is installed, version 1.2" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new").exists()


def test_what_is_installed_from_the_very_folder_may_be_written_anew(tmp_path, monkeypatch):
    assert new_plugin("sparkle", "-o", tmp_path) == 0
    monkeypatch.syspath_prepend(tmp_path / "slotaudio-sparkle")
    assert new_plugin("sparkle", "-o", tmp_path, "--force") == 0


def test_a_name_that_others_have_elsewhere_is_free(tmp_path):
    """The package is slotaudio-numpy, which is in nobody's way."""
    assert new_plugin("numpy", "-o", tmp_path) == 0


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert new_plugin("sparkle", "-o", tmp_path / "file") == 2
    assert "cannot write" in capsys.readouterr().err
