"""Models for other programs: everything between the transform and its inverse, as one ONNX or `torch.export` file."""

from slotaudio.exporting.files import Exported, export
from slotaudio.exporting.running import ExportedModel

__all__ = ["Exported", "ExportedModel", "export"]
