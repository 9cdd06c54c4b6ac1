"""Several processes that train one model: how many there are, what they agree on, what each of them holds.

Lightning starts them, or ``torchrun`` or SLURM did; the recipe stays what it is: ``train.batch_size`` counts the
mixtures of all processes together, so that the same run can go on with another number of them.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.utils.data import Dataset

from slotaudio.errors import UserError
from slotaudio.training.options import TrainOptions

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop or to save; one process asks itself always."""

SHARDED_ALONE = 10_000_000
"""Weights from which on a repeated block (a layer of the bottleneck) is gathered by itself."""


def environment() -> ClusterEnvironment | None:
    """Return what ``torchrun`` or ``srun`` set up; None if neither started this process."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return SLURMEnvironment(auto_requeue=False)  # the job script does that, from the checkpoint that `train` wrote
    return None


def leads() -> bool:
    """Tell whether this process is the one that makes folders, writes files and talks."""
    found = environment()
    if found is not None:
        return found.global_rank() == 0
    alone = LightningEnvironment()
    return alone.node_rank() == 0 and alone.local_rank() == 0


def layout(options: TrainOptions) -> tuple[int, int]:
    """Return processes per machine and machines: those of the launcher, of the options, or one of each.

    Raises:
        UserError: launcher and options differ, there are fewer GPUs than processes, or the batch cannot be shared.
    """
    started = _started()
    devices, nodes = (chosen or found for chosen, found in zip((options.devices, options.nodes), started, strict=True))
    if environment() is not None and (devices, nodes) != started:
        raise UserError(
            f"train.devices = {devices}, train.nodes = {nodes}, but {started[0]} processes on each of {started[1]} "
            "machines were started; leave both out, and the launcher decides"
        )
    gpus = torch.accelerator.device_count() if options.device != "cpu" and torch.accelerator.is_available() else 0
    if gpus and devices > gpus:
        raise UserError(f"train.devices = {devices}, but this machine has {gpus} GPUs")
    if options.batch_size % (devices * nodes):
        raise UserError(
            f"train.batch_size = {options.batch_size} cannot be shared evenly by {devices * nodes} processes; it "
            "counts the mixtures of all of them together"
        )
    return devices, nodes


def strategy(options: TrainOptions, processes: int, unused: Sequence[str] = ()) -> Strategy | str:
    """Return how Lightning spreads the model: not at all, a copy in each process, or a shard in each.

    Args:
        options: of the training.
        processes: in all.
        unused: weights that the loss leaves out, for whose gradients nobody must wait.

    Raises:
        UserError: shards of unused weights, or a moving average of weights that no process holds.
    """
    if options.strategy == "fsdp":
        if unused:
            raise UserError(
                "train.strategy = 'fsdp' needs a gradient for every weight, and the loss leaves out "
                f"{', '.join(unused[:3])}{', ...' if len(unused) > 3 else ''}: compose the model without them, or take "
                "'ddp'"
            )
        if options.ema:
            raise UserError("train.strategy = 'fsdp' keeps no moving average of the weights: set train.ema = 0.0")
        return ModelParallelStrategy(
            data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    if processes == 1:
        return "auto"
    return DDPStrategy(find_unused_parameters=bool(unused), gradient_as_bucket_view=True, timeout=timedelta(minutes=30))


def shard(model: nn.Module, mesh: Any, alone: int = SHARDED_ALONE) -> None:
    """Spread the weights of a model over the processes of a mesh (FSDP2, arXiv 2304.11277 and its successor).

    Repeated blocks of at least `alone` weights are gathered one by one while they compute, everything else together.
    """
    from torch.distributed.fsdp import fully_shard

    for block in blocks(model, alone):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def blocks(model: nn.Module, least: int) -> Iterator[nn.Module]:
    """Yield the outermost members of module lists that hold at least `least` weights."""
    for module in model.children():
        for child in module if isinstance(module, nn.ModuleList) else (module,):
            if child is not module and sum(weight.numel() for weight in child.parameters()) >= least:
                yield child
            else:
                yield from blocks(child, least)


def agreed(trainer: lightning.Trainer, number: int) -> int:
    """Return the largest number that any process brings; all of them must ask."""
    return int(totals(trainer, torch.tensor(number, dtype=torch.int64), torch.distributed.ReduceOp.MAX))


def due(trainer: lightning.Trainer) -> bool:
    """Tell whether the processes ask each other after this step."""
    return trainer.world_size == 1 or trainer.global_step % AGREE_EVERY == 0


def totals(trainer: lightning.Trainer, values: torch.Tensor, operation: Any = None) -> torch.Tensor:
    """Return the sums of values over all processes (or what another operation makes of them)."""
    if trainer.world_size == 1:
        return values
    moved = values.to(trainer.strategy.root_device)
    torch.distributed.all_reduce(moved, op=operation or torch.distributed.ReduceOp.SUM)
    return moved.cpu()


class Share(Dataset[Any]):
    """The items of a data set that one process validates: every n-th.

    All processes take the same number of steps, since sharded models compute together; what would be left over
    at the end repeats an item, which `number` tells by lying beyond the data set.
    """

    def __init__(self, dataset: Any, process: int, processes: int) -> None:
        self.dataset = dataset
        self.process = process
        self.processes = processes

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.processes)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.dataset[(index * self.processes + self.process) % len(self.dataset)]


def _started() -> tuple[int, int]:
    """Return processes per machine and machines that a launcher started; one of each without a launcher."""
    found = environment()
    if found is None:
        return 1, 1
    if isinstance(found, TorchElasticEnvironment):
        local = int(os.environ["LOCAL_WORLD_SIZE"])
    else:
        local = found.world_size() // int(os.environ.get("SLURM_NNODES", "1"))
    return local, found.world_size() // local
