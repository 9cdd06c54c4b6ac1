"""`Pictures`: the first validation mixture, seen and heard, in TensorBoard."""

from typing import Any

import lightning
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg

from slotaudio.plotting import separation_figure
from slotaudio.types import Batch


class Pictures(lightning.Callback):
    """Log spectrograms and audio of one validation mixture, its sources and their estimates, at every validation."""

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Batch, index: int, dataloader_idx: int = 0
    ) -> None:
        boards = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if index or outputs is None or not boards:
            return
        rate, step = module.model.sample_rate, trainer.global_step
        mixture, sources, estimates = (wave[0].float().cpu() for wave in (batch.mixture, batch.sources, outputs))
        canvas = FigureCanvasAgg(separation_figure(mixture, estimates, rate, sources, title=f"step {step}"))
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3]
        waves = {"mixture": mixture[0]}
        for number, (source, estimate) in enumerate(zip(sources, estimates, strict=True), start=1):
            waves |= {f"source {number}": source[0], f"estimate {number}": estimate[0]}
        for board in boards:
            board.add_image("validation", picture, step, dataformats="HWC")
            for name, wave in waves.items():
                board.add_audio(f"validation/{name}", wave.clamp(-1, 1), step, rate)
