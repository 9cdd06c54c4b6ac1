"""The examples run as they are."""

import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_plain_loop_learns(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plain_pytorch.py", "4"])
    runpy.run_path(str(EXAMPLES / "plain_pytorch.py"), run_name="__main__")
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_the_readme_of_the_examples_names_each():
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in text for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))
