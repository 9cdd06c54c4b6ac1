"""What tests of saved models share; lets them import what lies beside them."""

import sys
from pathlib import Path

import pytest

from slotaudio.pretrained import save_pretrained

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    from saved_models import tiny

    return save_pretrained(tiny(), tmp_path / "model", {"title": "Tiny", "Training data": "none", "license": "cc0-1.0"})
