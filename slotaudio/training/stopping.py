"""`Stopping`: SIGTERM, Ctrl-C and the time limit end a run between two steps, never within one."""

import signal
import sys
import threading
import time
from typing import Any

import lightning

from slotaudio.errors import SlotaudioError
from slotaudio.training.options import TrainOptions
from slotaudio.training.processes import agreed, due

_REASONS = (None, "time", "SIGTERM", "SIGINT")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StoppedAtOnce(SlotaudioError):
    """The user asked twice; whatever had happened since the last checkpoint is lost."""

    exit_code = 130


class Stopping(lightning.Callback):
    """End training after the step at hand, so that its checkpoint is exact.

    Of several processes, all end after the same step, whichever of them was told to.

    Args:
        options: steps of the whole run, after the last of which, whatever its number, comes a validation; minutes of
            this session.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.reason: str | None = None
        """``"SIGTERM"``, ``"SIGINT"`` or ``"time"``; None for a process that nobody stopped."""
        self.agreed: str | None = None
        """The reason of whichever process has one."""
        self._previous: dict[signal.Signals, Any] = {}

    def setup(self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str) -> None:
        self._previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._started = time.monotonic()
        if threading.current_thread() is threading.main_thread():  # only there can signals be caught
            for number in _SIGNALS:  # after Lightning, which would end the run without a checkpoint
                signal.signal(number, self._signalled)

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        if not self.options.ends_step(args[-1]):
            return  # gradients that are still adding up could not be saved
        minutes = self.options.max_minutes
        if minutes and time.monotonic() - self._started > 60 * minutes:
            self.reason = self.reason or "time"
        if due(trainer):
            self.agreed = _REASONS[agreed(trainer, _REASONS.index(self.reason))]
        if self.agreed is not None:
            trainer.limit_val_batches = 0  # whoever stops a run does not want to wait for a validation
        trainer.should_stop = self.agreed is not None or trainer.global_step >= self.options.steps

    def teardown(self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, frame: Any) -> None:
        if self.reason is not None:
            raise StoppedAtOnce("stopped at once; the last checkpoint is kept")
        self.reason = signal.Signals(number).name
        print(f"\n{self.reason}: stopping after this step (once more: at once)", file=sys.stderr, flush=True)
