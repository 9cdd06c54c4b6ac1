"""`train`: from a recipe to a folder with checkpoints, logs and a model that can be used."""

import copy
import errno
import shlex
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.strategies import Strategy
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from slotaudio.data.batches import collate
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError, SlotaudioError, UserError
from slotaudio.matchers.checking import CostNotFinite
from slotaudio.model import SlotModel
from slotaudio.modelconfig import CONFIG
from slotaudio.pretrained import load_weights, save_pretrained
from slotaudio.recipe import Recipe
from slotaudio.training.card import card
from slotaudio.training.checkpoints import Checkpoints
from slotaudio.training.data import Batches
from slotaudio.training.divergence import Divergence
from slotaudio.training.folder import RunFolder
from slotaudio.training.freezing import freeze
from slotaudio.training.logs import loggers, silence_lightning
from slotaudio.training.module import ShardedTraining, Training, TrainingDiverged
from slotaudio.training.moving_average import MovingAverage
from slotaudio.training.options import TrainOptions
from slotaudio.training.pictures import Pictures
from slotaudio.training.processes import Share, environment, layout, leads, strategy
from slotaudio.training.progress import Progress
from slotaudio.training.speed import tune
from slotaudio.training.stopping import Stopping


@dataclass(frozen=True)
class Trained:
    """What came of a training session."""

    step: int
    """The step that it reached."""
    stopped_by: str | None
    """``"SIGTERM"``, ``"SIGINT"`` (to any process), ``"time"``, or None if all steps were done."""
    metric: str
    """What the best score is of; empty if there was no validation."""
    score: float | None
    score_step: int
    model: Path
    """Folder of the saved model: the best one, or the last where there was no validation or `train.export` says so."""


def train(recipe: Recipe, folder: str | Path, resume: bool = False, force: bool = False) -> Trained:
    """Train a recipe; the run can be interrupted at any step and resumed exactly.

    Called in every process, or only in the first, which then starts the others of its machine with its own command
    line; each returns the same.

    Args:
        recipe: see `slotaudio.recipe.load_recipe`.
        folder: for everything that the run makes, see `slotaudio.training.folder.RunFolder`.
        resume: go on from the last checkpoint there; start if there is none.
        force: throw away what an earlier run left there.

    Raises:
        UserError, DataError: before anything is computed or written: a component, option or data set that
            cannot be, a folder that cannot be used.
        PretrainedError: likewise: a model that could not be saved.
        TrainingDiverged: a loss or gradient is no longer a number; the batch's utterances are written down.
        SlotaudioError: the last checkpoint could not be saved.
    """
    options = recipe.train
    if options.device == "gpu" and not torch.accelerator.is_available():
        raise UserError("train.device = 'gpu', but torch finds no GPU here; 'auto' takes one where there is one")
    if options.threads:
        torch.set_num_threads(options.threads)
    devices, nodes = layout(options)
    place = RunFolder(folder, recipe, resume, force)
    torch.manual_seed(options.seed)
    model = recipe.model()
    if options.init and not place.checkpoint:
        load_weights(model, options.init, options.fresh)
    objective = recipe.objective(model)
    training, validation = recipe.datasets(model)
    batches = Batches(
        training,
        options.batch_size,
        start=place.step * options.accumulate,
        stop=options.steps * options.accumulate,
        seed=options.seed,
        workers=options.workers,
        repeats=options.remix,
        pinned=options.device != "cpu" and torch.cuda.is_available(),  # others do not have it
    )
    _rehearse(model, objective, {"train": training, "validation": validation})
    freeze(model, options.frozen)
    with tempfile.TemporaryDirectory() as scratch:  # what cannot be exported shows now as well
        save_pretrained(model, scratch, card=_card(recipe, step=0, heard=0.0, trained=0.0, metric="", score=None))
    several = devices * nodes > 1 or options.strategy == "fsdp"
    plan = strategy(options, devices * nodes, _unused(model, objective, training) if several else ())
    place.prepare()
    if leads():
        _warn_of_shared_speakers(training, validation)
        for change in place.changes:
            print(f"resuming with a change: {change}", file=sys.stderr)
    tune(model, options)
    kind = ShardedTraining if options.strategy == "fsdp" else Training
    return _fit(recipe, place, kind(model, objective, options, validation), batches, validation, plan)


def _fit(
    recipe: Recipe, place: RunFolder, module: Training, batches: Batches, validation: Any, plan: Strategy | str
) -> Trained:
    options = recipe.train
    stopping, divergence = Stopping(options), Divergence(place.path)
    devices, nodes = layout(options)
    bar = leads() and sys.stdout.isatty()
    progress = Progress(options, lines=leads() and not bar)
    checkpoints = Checkpoints(place.path, options, place.extra())
    checkpoints.on_best = lambda path: _export(path, place, progress, checkpoints.latest)
    # the order matters: what the weights are, how much was heard, whether to stop, then what to save
    failure: SlotaudioError | None = None
    callbacks: list[lightning.Callback] = [MovingAverage(options.ema, options.device)] if options.ema else []
    callbacks += [progress, stopping, checkpoints, Pictures(), divergence, *([TQDMProgressBar()] if bar else [])]
    try:
        with warnings.catch_warnings():
            silence_lightning()
            trainer = lightning.Trainer(
                accelerator=options.device,
                devices=devices,
                num_nodes=nodes,
                strategy=plan,
                precision="bf16-mixed" if options.precision == "bf16" else "32-true",
                max_steps=options.steps,
                max_epochs=-1,
                accumulate_grad_batches=options.accumulate,
                val_check_interval=options.validate_every * options.accumulate,
                check_val_every_n_epoch=None,
                num_sanity_val_steps=0,
                log_every_n_steps=options.log_every,
                logger=loggers(place),
                callbacks=callbacks,
                plugins=[checkpoints.files, *filter(None, [environment()])],
                enable_checkpointing=False,
                enable_progress_bar=bar,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=place.path,
            )
            batches.share(trainer.global_rank, trainer.world_size)
            if isinstance(validation, Sized):
                validation = Share(validation, trainer.global_rank, trainer.world_size)
            trainer.fit(
                module,
                train_dataloaders=batches,
                val_dataloaders=None if validation is None else DataLoader(validation, collate_fn=collate),
                ckpt_path=place.last if place.checkpoint else None,
                weights_only=True,
            )
    except TrainingDiverged as error:
        raise TrainingDiverged(
            f"{error} at step {divergence.step}; the batch's utterances are in {divergence.report}. The checkpoints "
            "are older and sound: resume with a lower train.learning_rate, or a lower train.gradient_clip"
        ) from None
    except CostNotFinite as error:
        raise CostNotFinite(f"{error}. The utterances of step {divergence.step} are in {divergence.report}.") from None
    except SlotaudioError as error:
        failure = _without_worker(error)
    except OSError as error:  # the logs: what goes wrong with checkpoints is kept until the end
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sentence = f"the log in {place.path} cannot be written: {error.strerror}; the last checkpoint is kept"
        failure = SlotaudioError(checkpoints.failure or sentence)
    if failure is not None:  # raised here, where nothing holds the worker processes any more
        raise failure
    skipped = getattr(batches.dataset, "skipped", 0)
    if skipped:
        print(
            f"slotaudio: warning: {skipped} mixtures were drawn again, since an utterance could not be read",
            file=sys.stderr,
        )
    if checkpoints.failure:
        raise SlotaudioError(checkpoints.failure)
    # of a session that did nothing the model is there already, unless the one before was killed before it came to that
    last = options.export == "last" and (trainer.global_step > place.step or not (place.model / CONFIG).exists())
    if (checkpoints.best_score is None or last) and trainer.is_global_zero:
        _export(place.last, place, progress, checkpoints.latest)
    return Trained(
        trainer.global_step,
        stopping.agreed,
        checkpoints.best_metric,
        checkpoints.best_score,
        checkpoints.best_step,
        place.model,
    )


def _without_worker(error: SlotaudioError) -> SlotaudioError:
    """Return the error as it was raised: torch puts a worker's whole traceback into the message."""
    name, message = f"{type(error).__name__}: ", str(error)
    return type(error)(message.rpartition(name)[2].strip()) if message.startswith("Caught ") else error


def _rehearse(model: SlotModel, objective: Any, datasets: Mapping[str, Any]) -> None:
    """Take one mixture of each data set through the objective: what does not fit shows now, not after a night.

    What the objective learns from it (statistics of targets, say) is forgotten: nothing is fitted on validation.
    """
    model.eval()
    with torch.no_grad(), _forgotten(objective):
        for name, dataset in datasets.items():
            if isinstance(dataset, Sized) and len(dataset) == 0:
                raise DataError(f"data.{name} holds no mixtures")
            if dataset is not None:
                objective(model, collate([next(iter(dataset)) if isinstance(dataset, IterableDataset) else dataset[0]]))
    model.train()


@contextmanager
def _forgotten(*parts: Any) -> Iterator[None]:
    """Undo what modules learn meanwhile, such as running statistics."""
    modules = [part for part in parts if isinstance(part, nn.Module)]
    known = [copy.deepcopy(module.state_dict()) for module in modules]
    yield
    for module, state in zip(modules, known, strict=True):
        module.load_state_dict(state)


def _unused(model: SlotModel, objective: Any, training: Any) -> list[str]:
    """Return the names of weights that get no gradient (those of a presence head that is not taught, say)."""
    module = Training(model, objective, TrainOptions())
    with _forgotten(model, objective):
        objective(model, collate([next(iter(training))]))["loss"].backward()
    unused = [name for name, weight in module.named_parameters() if weight.requires_grad and weight.grad is None]
    module.zero_grad()
    return unused


def _warn_of_shared_speakers(training: Any, validation: Any) -> None:
    """Warn of speakers of one name, in one folder or in two, which may be copies or other sentences of theirs."""
    trained, heard = ({name for each in _folders(part) for name in each.speakers} for part in (training, validation))
    shared = sorted(trained & heard)
    if shared:
        many = f"{len(shared)} speakers are" if len(shared) > 1 else "1 speaker is"
        print(
            f"slotaudio: warning: {many} in training and in validation, going by the names of "
            f"their folders ({', '.join(shared[:3])}{', ...' * (len(shared) > 3)}), and its figures will flatter: give "
            "validation a folder of other speakers, or, for data sets with that option, set "
            "data.train.split=train and data.validation.split=validation",
            file=sys.stderr,
        )


def _export(checkpoint: Path, place: RunFolder, progress: Progress, validated: tuple[int, str, float | None]) -> None:
    """Save the model of a checkpoint (its moving average, if there is one) with its card."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {name: value for name, value in content["state_dict"].items() if name.startswith("model.")}
    model = place.recipe.model()
    model.load_state_dict({name.removeprefix("model."): value for name, value in weights.items()})
    step, metric, score = validated
    if step != content["global_step"]:
        metric, score = "", None
    about = _card(place.recipe, content["global_step"], progress.heard, progress.trained, metric, score)
    save_pretrained(model, place.model, card=about)


def _card(
    recipe: Recipe, step: int, heard: float, trained: float, metric: str, score: float | None
) -> Mapping[str, str]:
    command = shlex.join([*_program(), *sys.argv[1:]])
    return card(recipe, command, step, heard, trained, metric, score)


def _program() -> list[str]:
    """Return how the program at hand was called: the command line, or somebody's script."""
    script = Path(sys.argv[0])
    return ["python", sys.argv[0]] if script.suffix == ".py" and script.name != "__main__.py" else ["slotaudio"]


def _folders(dataset: Any) -> list[SpeechFolder]:
    parts = (getattr(part, "folder", None) for part in getattr(dataset, "parts", [dataset]))
    return [folder for folder in parts if isinstance(folder, SpeechFolder)]
