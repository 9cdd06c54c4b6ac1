"""`TrainOptions`: the ``[train]`` table of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from slotaudio.errors import UserError
from slotaudio.schema import fits, fitted, readable
from slotaudio.spelling import did_you_mean


@dataclass(frozen=True)
class TrainOptions:
    """How to train. The defaults are AudioSlots' (arXiv 2305.05591, section 4), which left clipping open."""

    init: str = ""
    """Saved model whose weights training starts from: a bundled name, a folder or a hub id; random ones if empty."""
    fresh: tuple[str, ...] = ()
    """Names or wildcards of weights that start random all the same, such as those the saved model has not."""
    frozen: tuple[str, ...] = ()
    """Names or wildcards of weights that are not trained, such as ``"encoder.*"``: they stay as `init` has them."""
    steps: int = 300_000
    """Optimiser steps in all; the learning rate reaches its end with them."""
    batch_size: int = 64
    """Mixtures of one batch, over all processes."""
    remix: int = 1
    """How often each batch is used, every time but the first with its sources in other pairs: for GPUs that are faster
    than the processes that make mixtures."""
    accumulate: int = 1
    """Batches whose gradients add up to one step."""
    learning_rate: float = 2e-4
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    """``"muon"`` steps along orthogonalised momenta (matrices only; AdamW for the rest): fewer steps, each dearer."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup_steps: int = 2500
    """Steps in which the learning rate rises from zero."""
    schedule: Literal["cosine", "linear", "polynomial", "constant"] = "cosine"
    """How the learning rate goes down after the warm-up: to zero along a half cosine, a line or a line to the power of
    0.9 (``"polynomial"``), or not at all."""
    gradient_clip: float = 0.05
    """Largest norm of the gradient of all weights; 0 for no limit. The value of SAVi, by the same authors."""
    ema: float = 0.0
    """Decay of the moving average of the weights that is validated and saved; 0 for none."""
    export: Literal["best", "last"] = "best"
    """Which weights the run's model has in the end: the best of the validations, or the last. A moving average and a
    falling rate make the last ones better than a small validation can tell."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """``"bf16"`` multiplies matrices in bfloat16; transforms, assignment and losses stay in float32."""
    compile: bool = False
    """Compile encoder, bottleneck and decoder with `torch.compile`."""
    channels_last: bool = False
    """Keep the channels of the encoder's maps together in memory, as tensor cores and AMX read them."""
    fused: bool = False
    """Update all weights in one kernel (``"adam"`` and ``"adamw"``)."""
    validate_every: int = 1000
    """Steps between validations."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; the end makes one as well, and each best validation ``best.ckpt``."""
    checkpoint_every_minutes: float = 10.0
    """Minutes after which a checkpoint is due whatever the step."""
    log_every: int = 20
    """Steps between lines of the log."""
    max_minutes: float = 0.0
    """Stop this session after so many minutes, to be resumed; 0 for no limit."""
    seed: int = 0
    """With the step it decides everything: initial weights, data, drop-out."""
    workers: int = 0
    """Processes that make batches beside the one that trains."""
    threads: int = 0
    """Threads of PyTorch; 0 for its own choice."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 0
    """Processes of each machine, one for each GPU; 0 for as many as ``torchrun`` or ``srun`` started, else one."""
    nodes: int = 0
    """Machines; 0 for as many as ``torchrun`` or ``srun`` started on, else one."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """What several processes hold: ``"ddp"`` all weights each, ``"fsdp"`` a share each, for very large models."""

    def ends_step(self, batch: int) -> bool:
        """Tell whether a batch, counted from 0, is the last of those whose gradients make a step."""
        return (batch + 1) % self.accumulate == 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "remix", "accumulate", "validate_every", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} = {getattr(self, name)}: at least 1 is needed")
        counts = ("warmup_steps", "seed", "workers", "threads", "devices", "nodes")
        for name in ("weight_decay", "gradient_clip", "max_minutes", *counts):
            if getattr(self, name) < 0:
                raise UserError(f"train.{name} = {getattr(self, name)}: it cannot be negative")
        for name in ("learning_rate", "checkpoint_every_minutes"):
            if getattr(self, name) <= 0:
                raise UserError(f"train.{name} = {getattr(self, name)}: it must be above zero")
        if not (0 <= self.ema < 1 and all(0 <= beta < 1 for beta in self.betas)):
            raise UserError(f"train.ema = {self.ema}, train.betas = {self.betas}: each must be in 0 <= value < 1")

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "TrainOptions":
        """Make the options from a recipe's table.

        Raises:
            UserError: an unknown name, or a value that cannot be.
        """
        known = {field.name: field.type for field in fields(cls)}
        values = {}
        for name, value in table.items():
            if name not in known:
                hint = did_you_mean(name, known)
                raise UserError(f"unknown option {name!r} of [train].{hint}\n  known: {', '.join(known)}")
            if not fits(known[name], value):
                raise UserError(f"train.{name} = {value!r} is not {readable(known[name])}")
            values[name] = fitted(known[name], value)
        return cls(**values)
