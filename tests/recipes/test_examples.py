"""The examples run as they are."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "2"])  # as short as it goes
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_the_plain_loop_learns(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plain_pytorch.py", "8"])
    runpy.run_path(str(EXAMPLES / "plain_pytorch.py"))
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 8
    assert min(losses[4:]) < losses[0]


def test_the_readme_of_the_examples_names_each():
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in text for path in EXAMPLES.glob("*.py"))
