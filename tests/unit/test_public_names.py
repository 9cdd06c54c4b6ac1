"""`slotaudio.compose` is the function, in whatever order things were imported."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "statements",
    [
        "from slotaudio import compose",
        "from slotaudio.compose import build; from slotaudio import compose",
        "from slotaudio import build, compose",
        "import slotaudio; slotaudio.compose; compose = slotaudio.compose",
    ],
)
def test_compose_is_the_function_not_the_module(statements: str) -> None:
    code = f"{statements}; import inspect; assert inspect.isfunction(compose), compose"
    subprocess.run([sys.executable, "-c", code], check=True)
