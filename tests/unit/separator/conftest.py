"""What tests of the separator share; lets them import the models that lie beside them."""

import sys
from pathlib import Path

import pytest
import torch

from slotaudio import Separator

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def separator() -> Separator:
    from tiny_models import tiny

    return Separator(tiny())


@pytest.fixture(scope="module")
def talk() -> torch.Tensor:
    """Forty seconds of each of two unlike voices; axes batch slots channels time."""
    from two_voices import spoken

    return spoken(0, 1)
