"""`Progress`: how fast training is, and a line now and then where no progress bar can be drawn."""

import time
from typing import Any

import lightning

from slotaudio.training.options import TrainOptions
from slotaudio.types import Batch


class Progress(lightning.Callback):
    """Count the audio that a run has seen, log the pace, and print lines instead of a bar.

    Args:
        options: of the training.
        lines: print lines, one after each validation and at least one every `seconds`.
        seconds: longest wait for a line.
    """

    def __init__(self, options: TrainOptions, lines: bool, seconds: float = 30.0) -> None:
        self.options = options
        self.lines = lines
        self.seconds = seconds
        self.heard = 0.0
        """Hours of mixtures in all sessions of the run."""
        self.trained = 0.0
        """Hours of training in all sessions of the run, without validation."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._mark = self._printed = time.monotonic()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Batch, index: int) -> None:
        now = time.monotonic()
        elapsed, self._mark = now - self._mark, now
        rate = module.model.sample_rate
        seconds = batch.mixture.shape[0] * batch.mixture.shape[-1] / rate
        seconds *= trainer.world_size
        self.heard += seconds / 3600
        self.trained += elapsed / 3600
        module.log_dict({"train/audio_per_second": seconds / max(elapsed, 1e-9), "train/hours_heard": self.heard})
        if self.lines and now - self._printed > self.seconds:
            self._line(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._mark = time.monotonic()  # the pace is that of training
        if self.lines:
            self._line(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"heard": self.heard, "trained": self.trained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.heard, self.trained = state_dict["heard"], state_dict["trained"]

    def _line(self, trainer: lightning.Trainer) -> None:
        self._printed = time.monotonic()
        metrics = trainer.callback_metrics
        words = [f"step {trainer.global_step}/{self.options.steps}"]
        words += [f"loss {float(metrics['loss']):.4g}"] if "loss" in metrics else []
        for name, label in (("validation/si_sdr_i", "SI-SDRi"), ("validation/si_sdr", "SI-SDR")):
            if name in metrics:
                words.append(f"validation {label} {float(metrics[name]):.2f} dB")
                break
        words.append(f"{self.heard:.2f} h of mixtures in {self.trained:.2f} h")
        print("  ".join(words), flush=True)
