"""`Pictures`: the first validation mixture, seen and heard, in TensorBoard."""

from typing import Any

import lightning
import numpy as np
from jaxtyping import Float, UInt8
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

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
        rows = {"mixture": batch.mixture[0, 0]}
        for number in range(batch.sources.shape[1]):
            rows[f"source {number + 1}"] = batch.sources[0, number, 0]
            rows[f"estimate {number + 1}"] = outputs[0, number, 0]
        waves = {name: wave.detach().float().cpu() for name, wave in rows.items()}
        picture = spectrograms(waves, rate)
        for board in boards:
            board.add_image("validation", picture, step, dataformats="HWC")
            for name, wave in waves.items():
                board.add_audio(f"validation/{name}", wave.clamp(-1, 1), step, rate)


def spectrograms(waves: dict[str, Float[Tensor, "time"]], rate: int) -> UInt8[np.ndarray, "height width colours"]:
    """Draw the spectrograms of waves below one another, all on the same scale of 60 dB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from scipy.signal import ShortTimeFFT

    figure = Figure(figsize=(8, 1.6 * len(waves)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    window = min(512, *(wave.shape[-1] for wave in waves.values()))
    transform = ShortTimeFFT(np.hanning(window + 2)[1:-1], hop=max(1, window // 4), fs=rate)
    power = {name: transform.spectrogram(wave.numpy()) for name, wave in waves.items()}
    loudest = 10 * np.log10(max(values.max() for values in power.values()) + 1e-12)
    rows = figure.subplots(len(waves), sharex=True, squeeze=False)[:, 0]
    for axes, (name, values) in zip(rows, power.items(), strict=True):
        seconds = waves[name].shape[-1] / rate
        levels = 10 * np.log10(values + 1e-12)
        axes.imshow(
            levels, origin="lower", aspect="auto", extent=(0, seconds, 0, rate / 2000), vmin=loudest - 60, vmax=loudest
        )
        axes.set_ylabel(f"{name}\nkHz")
    axes.set_xlabel("seconds")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
