"""Writing an exported model: traced, written under a temporary name, compared with the model, and only then named."""

import importlib.util
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.data.bundled import demo_list, speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.errors import SlotaudioError, UserError
from slotaudio.exporting.core import INPUTS, OUTPUTS, Core
from slotaudio.exporting.running import DESCRIPTION, SUFFIXES, load
from slotaudio.exporting.tracing import trace, tracing
from slotaudio.model import SlotModel
from slotaudio.modelconfig import config_of
from slotaudio.resampling import resample
from slotaudio.writing import check_free, replacing

LEAST_AGREEMENT = 60.0
"""Decibels by which an exported model's sources have to be above their difference from the model's."""

_EXPLAINED = "howto/export#run-it-without-slotaudio"
_ONNX = ("onnx", "onnxscript", "onnxruntime")

Axes = tuple[str | int, ...]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    inputs: Mapping[str, Axes]
    """By name, the size of each axis, or its name where any size is possible."""
    outputs: Mapping[str, Axes]
    agreement: float
    """Decibels from the model's outputs to their difference from the file's, at the worst of all that was compared."""


def export(model: SlotModel, path: str | os.PathLike[str], force: bool = False) -> Exported:
    """Write everything between a model's transform and its inverse as a program for other runtimes.

    The program takes the mixture's spectrum and gives a mask for every slot, in single precision and real numbers
    (see `slotaudio.exporting.core`). It is run by the runtime that it is for, on speech, in other sizes than it
    was traced with wherever sizes are free, and compared with the model; a file that disagrees is not written.

    Args:
        model: composed of named components.
        path: ``*.onnx`` (needs ``pip install "slotaudio[export]"``) or ``*.pt2`` (`torch.export`).
        force: replace an existing file.

    Raises:
        UserError: the name, the model or a missing package is in the way.
        SlotaudioError: the program computes something else than the model.

    Example:
        ``slotaudio.export(slotaudio.SlotModel.from_pretrained(), "model.onnx")``
    """
    target = Path(path)
    _check_target(target, force)
    core = Core(model)
    for batch in (2, 1):  # of two, since one would be taken for a constant; of one where a component fixes it
        arguments = core.arguments(_speech(core, batch, 2.0))
        program = trace(core, arguments)
        inputs, outputs = _axes(program, core)
        if inputs["spectrum"][0] == "batch":
            break
    tensors = {"inputs": inputs, "outputs": outputs}
    about = config_of(model) | {"tensors": tensors, "initial": core.start.tolist(), "leaves_rest": model.leaves_rest}
    if model.window is None and "frames" not in inputs["spectrum"]:
        about["window"] = 2.0  # a component fixed the length that was traced
    try:
        with replacing(target) as partial:
            with tracing():
                write = _write_onnx if target.suffix == ".onnx" else _write_program
                write(program, partial, arguments, about)
                worst = min(agreement(core, load(partial), case) for case in _cases(core, inputs["spectrum"]))
            if not worst >= LEAST_AGREEMENT:
                raise SlotaudioError(
                    f"the exported program gives other sources than the model: they agree to {worst:.0f} dB, and "
                    f"{LEAST_AGREEMENT:.0f} dB is the least; {target} was not written"
                )
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    return Exported(target, inputs, outputs, worst)


@torch.no_grad()
def agreement(
    core: Core,
    runtime: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    wave: Float[Tensor, "batch channels time"],
) -> float:
    """Return by how many decibels the model's outputs are above their difference from the runtime's.

    Masks are compared by what they let through, the other outputs as they are; the worst counts.
    """
    arguments = core.arguments(wave)
    ratios: list[float] = []
    for name, wanted, found in zip(core.outputs, core(*arguments), runtime(arguments), strict=True):
        if wanted.shape != found.shape:
            return -math.inf
        if name == "masks":
            wanted, found = (_heard(masks, arguments[0], core.complex) for masks in (wanted, found))
        power, error = wanted.square().sum(), (wanted - found).square().sum()
        ratios.append(float(10 * (power.clamp_min(1e-20) / error.clamp_min(1e-20)).log10()))
    return -math.inf if any(map(math.isnan, ratios)) else min(ratios)


def _heard(masks: Tensor, spectrum: Tensor, parts: bool) -> Tensor:
    """Weigh masks by the magnitude of what they are applied to."""
    magnitude = (spectrum.norm(dim=-1) if parts else spectrum)[:, None]
    return masks * (magnitude[..., None] if masks.ndim > magnitude.ndim else magnitude)


def _write_program(
    program: torch.export.ExportedProgram, path: Path, _: Sequence[Tensor], about: Mapping[str, Any]
) -> None:
    torch.export.save(program, path, extra_files={DESCRIPTION: json.dumps(about)})


def _write_onnx(
    program: torch.export.ExportedProgram, path: Path, arguments: tuple[Tensor, ...], about: Mapping[str, Any]
) -> None:
    tensors = about["tensors"]
    made = torch.onnx.export(
        program,
        arguments,
        dynamo=True,
        verbose=False,
        input_names=list(tensors["inputs"]),
        output_names=list(tensors["outputs"]),
    )
    assert made is not None
    for nodes, way in ((made.model.graph.inputs, "inputs"), (made.model.graph.outputs, "outputs")):
        for node, sizes in zip(nodes, tensors[way].values(), strict=True):
            node.shape = type(node.shape)(sizes)  # `batch` and `frames` instead of s59 and s38
    made.model.metadata_props[DESCRIPTION] = json.dumps(about)
    made.save(path)


def _check_target(target: Path, force: bool) -> None:
    if target.suffix not in SUFFIXES:
        known = " or ".join(f"{suffix} ({kind})" for suffix, kind in SUFFIXES.items())
        raise UserError(f"cannot export to {target}: choose a name that ends in {known}", page=_EXPLAINED)
    missing = [package for package in _ONNX if importlib.util.find_spec(package) is None]
    if target.suffix == ".onnx" and missing:
        raise UserError(
            f'ONNX needs {", ".join(missing)}: pip install "slotaudio[export]", or export to *.pt2', page=_EXPLAINED
        )
    check_free(target, force)
    if not target.parent.is_dir():
        raise UserError(f"cannot write {target}: there is no folder {target.parent}")


def _axes(program: torch.export.ExportedProgram, core: Core) -> tuple[dict[str, Axes], dict[str, Axes]]:
    """Return the sizes of what goes in and comes out, and names for those that are free."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    signature = program.graph_signature

    def sizes(nodes: Sequence[Any], names: Sequence[str], axes: Mapping[str, Sequence[str]]) -> dict[str, Axes]:
        shapes = [values[node].shape for node in nodes]
        return {
            # masks and spectra of real numbers lack the last axis
            name: tuple(int(size) if str(size).isdecimal() else axis for axis, size in zip(axes[name], shape))  # noqa: B905
            for name, shape in zip(names, shapes, strict=True)
        }

    return (
        sizes(signature.user_inputs, core.inputs, INPUTS),
        sizes(signature.user_outputs, core.outputs, OUTPUTS),
    )


def _cases(core: Core, axes: Axes) -> list[Float[Tensor, "batch channels time"]]:
    """Return waves of the size that was traced, and of others where the program takes them."""
    sizes = [(1, 2.0)]
    if axes[0] == "batch":
        sizes.append((2, 2.0))
    if "frames" in axes:
        sizes.append((sizes[-1][0], 1.27))
    return [_speech(core, *size) for size in sizes]


def _speech(core: Core, batch: int, seconds: float) -> Float[Tensor, "batch channels time"]:
    """Return windows of a bundled mixture, at the model's rate; `seconds` is for models of any length."""
    mixture = FolderMixtures(speech("dev"), seconds=None, mixtures=demo_list())[0][0]
    wave = resample(mixture, 16000, core.model.sample_rate)
    length = core.model.window_samples or round(seconds * core.model.sample_rate)
    wave = wave.repeat(1, -(-batch * length // wave.shape[-1]))[:, : batch * length]
    windows = wave.unflatten(-1, (batch, length)).transpose(0, 1)
    return windows.expand(-1, core.model.frontend.channels, -1).contiguous()
