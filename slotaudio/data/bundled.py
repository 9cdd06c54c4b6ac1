"""The licensed sample of real speech that ships with the package, for the demo and the tests.

``assets/speech/train`` and ``assets/speech/dev`` hold different speakers; models are trained on
neither the speakers nor the utterances of ``dev``. See ATTRIBUTION.md beside them.
"""

from importlib.resources import files
from pathlib import Path

SPEECH = Path(str(files("slotaudio"))) / "assets" / "speech"
"""The folder of the sample."""


def speech(part: str = "dev") -> Path:
    """Return the folder of a part, ``"train"`` or ``"dev"``: one folder per speaker."""
    return SPEECH / part


def located(path: str | Path) -> Path:
    """Return a folder as the user wrote it: ``"bundled:train"`` and ``"bundled:dev"`` are the sample's parts."""
    text = str(path)
    return speech(text.removeprefix("bundled:")) if text.startswith("bundled:") else Path(path).expanduser()


def demo_list() -> Path:
    """Return the frozen list of the demo's mixtures of ``dev`` (see `slotaudio.data.plans`)."""
    return SPEECH / "demo.csv"
