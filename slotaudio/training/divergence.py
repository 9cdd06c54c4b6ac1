"""`Divergence`: which utterances the batch held whose loss was not a number."""

import json
from pathlib import Path
from typing import Any

import lightning

from slotaudio.matchers.checking import CostNotFinite
from slotaudio.training.module import TrainingDiverged
from slotaudio.types import Batch


class Divergence(lightning.Callback):
    """Keep the names of the step's mixtures, and write them down when a loss, cost or gradient is no number.

    Args:
        folder: gets ``diverged-step-N.json``; of several processes, each writes its share, with its number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report: Path | None = None
        self.step = 0
        self._batch: list[dict[str, Any]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Batch, index: int) -> None:
        if trainer.global_step != self.step:
            self.step, self._batch = trainer.global_step, []
        self._batch += [dict(metadata) for metadata in batch.metadata]

    def on_exception(self, trainer: lightning.Trainer, module: Any, exception: BaseException) -> None:
        if isinstance(exception, (TrainingDiverged, CostNotFinite)):
            process = f"-process-{trainer.global_rank}" if trainer.world_size > 1 else ""
            self.report = self.folder / f"diverged-step-{self.step}{process}.json"
            what = {"step": self.step, "error": str(exception), "batch": self._batch}
            self.report.write_text(json.dumps(what, indent=2, default=str) + "\n", encoding="utf-8")
