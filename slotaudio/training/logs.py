"""Where a run's figures go, and what Lightning says that nobody has to hear."""

import logging
import warnings
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from slotaudio.training.folder import RunFolder


def loggers(place: RunFolder) -> list[Any]:
    """Return those of a run: CSV and TensorBoard."""
    return [
        # a session's lines have a file of their own: Lightning would delete those of the session before
        CSVLogger(place.path, name="logs", version=f"from-step-{place.step:06d}"),
        TensorBoardLogger(place.path, name="tensorboard", version="", purge_step=place.step or None),
    ]


def silence_lightning() -> None:
    """Silence what Lightning tells about itself; what it warns of is taken care of here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*your dataloader is not resumable.*",
        ".*Experiment logs directory .* exists and is not empty.*",
        ".*is smaller than the logging interval.*",
        ".*GPU available but not used.*",
        ".*but have no `val_dataloader`.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*returned a view tensor.*",  # of which nothing is changed in place
        ".*sync_dist=True.*",  # `Training` adds up over processes what it logs of a validation
        ".*is an experimental feature.*",
        ".*in eval mode at the start of training.*",  # an objective's teacher
    ):
        warnings.filterwarnings("ignore", message=message)
