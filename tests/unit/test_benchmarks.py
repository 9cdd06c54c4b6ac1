"""Benchmarks whose command a page of results names, at their smallest."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # they import each other

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(FOLDER / name), run_name="__main__")

    return run


def test_more_gpus_are_reckoned_from_counted_operations(script, capsys):
    script("scaling.py", "--plan-only", "--planned", "audioslots-small")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| 1 |", "| 8 |", "| 64 |"))]
    assert [row.split(" | ")[1] for row in rows] == ["32", "4", "0.5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slope", "24"], "--slope is that of a --band: give both"),
        (["--seconds", "6", "--minutes", "5"], "not allowed with argument"),
    ],
)
def test_options_of_counting_that_would_change_nothing_are_refused(script, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        script("counting.py", "path/to/speech", "--model", "default", *arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_step_is_profiled_before_and_after_each_optimisation(script, capsys):
    options = ["--batch", "1", "--steps", "1", "--device", "cpu", "--variants", "fp32", "bf16"]
    script("step_profile.py", "--recipe", "audioslots-small", *options)
    printed = capsys.readouterr().out
    for row in ("| fp32 | ", "| + bf16 | ", "| convolutions | "):
        assert row in printed
