"""`slotaudio`, `components`, `plugins` and `--version` as real processes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text
from typer.main import get_command

from slotaudio import __version__
from slotaudio.cli import app

HEAVY = ("torch", "lightning", "scipy", "numpy", "matplotlib", "soundfile")


def slotaudio(*arguments, **environment):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "slotaudio", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [[], ["--help"], ["--version"], ["components"], ["components", "encoder"], ["plugins"], ["recipes"]],
    ids=lambda command: " ".join(command) or "import",
)
def test_nothing_heavy_is_imported(command):
    run = f"from slotaudio.cli import main\ntry: main({command!r})\nexcept SystemExit as stop: assert not stop.code\n"
    check = f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found\n"
    code = "import sys, slotaudio\n" + (run if command else "") + check
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version():
    assert slotaudio("--version").stdout.strip() == f"slotaudio {__version__}"


def test_components_lists_every_family_with_a_summary():
    listed = slotaudio("components").stdout
    for word in ("embedders", "log_mel", "frontends", "stft", "matchers", "hungarian", "datasets", "folder"):
        assert word in listed
    assert "no source found" not in listed


@pytest.mark.parametrize("family", ["frontend", "frontends"])
def test_components_of_a_family_shows_the_options(family):
    listed = slotaudio("components", family).stdout
    assert "hop=125" in listed
    assert "encoders" not in listed


def test_what_the_encoding_of_a_terminal_lacks_is_spelled_out():
    run = (
        "from slotaudio.cli import main\ntry: main(['--version'])\nexcept SystemExit: print('sch\\xf6n\\u2192 \\udcff')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, env=environment, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == rb"sch\xf6n\u2192 " + b"\xff"


def test_unknown_family_is_the_users_error():
    done = slotaudio("components", "flavour")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "slotaudio: error: no family named 'flavour'; the families are: "
        "frontend, encoder, bottleneck, decoder, matcher, objective, dataset, embedder"
    )


@pytest.mark.parametrize(("name", "command"), get_command(app).commands.items())
def test_no_word_of_a_help_text_is_taken_for_markup(name, command):
    for text in [command.help, *(parameter.help or "" for parameter in command.params)]:
        assert Text.from_markup(text).plain == text  # [extra] would be


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"], ["components", "a", "b"]])
def test_usage_errors_exit_with_2(arguments):
    done = slotaudio(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nosuch" in done.stderr or "unexpected extra argument" in done.stderr


def test_plugins_lists_origins_and_failures(tmp_path):
    (tmp_path / "slotaudio_bad.py").write_text("raise RuntimeError('no licence')")
    metadata = tmp_path / "slotaudio_bad-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: slotaudio-bad\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[slotaudio]\nbad = slotaudio_bad\n")
    done = slotaudio("plugins", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert f"slotaudio  slotaudio {__version__}  frontend/stft" in done.stdout
    assert "bad  failed: RuntimeError: no licence" in done.stdout
    assert done.stderr.startswith("slotaudio: warning: plug-in 'bad' failed to load: RuntimeError: no licence")
    assert len(done.stderr.splitlines()) == 1
    strict = slotaudio("plugins", PYTHONPATH=str(tmp_path), SLOTAUDIO_STRICT_PLUGINS="1")
    assert strict.returncode == 1
    assert strict.stderr.strip() == "slotaudio: error: plug-in 'bad' failed to load: RuntimeError: no licence"
    traced = slotaudio("plugins", PYTHONPATH=str(tmp_path), SLOTAUDIO_STRICT_PLUGINS="1", SLOTAUDIO_DEBUG="1")
    assert "Traceback" in traced.stderr


def test_plugins_says_what_a_package_requires_and_does_not_find(tmp_path):
    (tmp_path / "slotaudio_far.py").write_text("")
    metadata = tmp_path / "slotaudio_far-1.2.dist-info"
    metadata.mkdir()
    required = (
        "slotaudio>=9",
        "absent-of-all",
        "!",
        "pluggy",
        "other>=3; extra == 'more'",
        "third; python_version < '3'",
    )
    lines = ["Metadata-Version: 2.1", "Name: slotaudio-far", "Version: 1.2", *(f"Requires-Dist: {r}" for r in required)]
    (metadata / "METADATA").write_text("\n".join(lines))
    (metadata / "entry_points.txt").write_text("[slotaudio]\nfar = slotaudio_far\n")
    listed = slotaudio("plugins", PYTHONPATH=os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))).stdout
    assert [line for line in listed.splitlines() if line.startswith("far  warning")] == [
        f"far  warning: slotaudio-far requires slotaudio>=9; {__version__} is installed",
        "far  warning: slotaudio-far requires absent-of-all, which is not installed",
        "far  warning: slotaudio-far requires '!', which cannot be read",
    ]


INHERITING = {
    "__init__.py": """
import slotaudio
@slotaudio.hookimpl
def slotaudio_matchers():
    offered = {"near": "Near", "far": "Far", "fields": "Fields", "own": "Hungarian", "foreign": "Foreign"}
    return {name: f"slotaudio_heir.matchers:{found}" for name, found in offered.items()}
""",
    "base.py": """
from dataclasses import dataclass
class Base:
    def __init__(self, steps: int = 3): pass
@dataclass
class Table:
    rows: int = 2
""",
    "matchers.py": """
from dataclasses import dataclass
from torch.nn import Linear
from slotaudio.matchers.exhaustive import Exhaustive
from .base import Base, Table as Rows
class Near(Base):
    taught: bool = False
class Far(Near):
    "Far."
@dataclass
class Fields(Rows):
    columns: int = 4
class Hungarian(Exhaustive):
    pass
class Foreign(Linear):
    pass
""",
}


def test_options_of_inherited_constructors_are_listed_and_nothing_is_imported_for_it(tmp_path):
    package = tmp_path / "slotaudio_heir"
    package.mkdir()
    for name, text in INHERITING.items():
        (package / name).write_text(text)
    code = f"""
import sys
from slotaudio import hookimpl
from slotaudio.describe import describe
from slotaudio.pluginmanager import plugin_manager
from slotaudio.registry import matchers
sys.path.insert(0, {str(tmp_path)!r})
import slotaudio_heir
plugin_manager().register(slotaudio_heir, name="heir")
print({{offer.name: describe(offer).options for offer in matchers.offers() if offer.plugin == "heir"}})
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = {"near": ("steps=3",), "far": ("steps=3",), "fields": ("rows: int = 2", "columns: int = 4")}
    options = ("limit=5040", "check=True")
    assert [ast.literal_eval(line) for line in done.stdout.splitlines()] == [
        {"far": said["far"], "fields": said["fields"], "foreign": (), "near": said["near"], "own": options},
        [],
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("slotaudio ex", {"extract", "export"}),
        ("slotaudio separate --mod", {"--model"}),
        ("slotaudio train remi", {"remix-small"}),
        ("slotaudio components enc", {"encoder"}),
    ],
)
def test_the_shell_completes(line, words):
    asked = {"_SLOTAUDIO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    program = Path(sys.executable).with_name("slotaudio")
    done = subprocess.run([program], capture_output=True, text=True, env={**os.environ, **asked}, check=False)
    assert set(done.stdout.split()) == words


def test_a_closed_pipe_is_no_error_message():
    command = f"{sys.executable} -m slotaudio components | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "frontends"
    assert "Traceback" not in done.stderr
