"""An exported model at work: its program between slotaudio's own transform and synthesis."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.compose import build
from slotaudio.errors import PretrainedError, UserError
from slotaudio.exporting.core import real
from slotaudio.model import SlotModel
from slotaudio.modelconfig import specs_of
from slotaudio.spec import Spec
from slotaudio.types import Estimates, Features, Frontend, Prediction, Slots

DESCRIPTION = "slotaudio.json"
"""Under this name an exported file says what it is: a saved model's description, and its tensors."""

SUFFIXES = {".onnx": "ONNX, for onnxruntime and others", ".pt2": "a torch.export program"}


class OnnxRuntime:
    """An ONNX file in onnxruntime, on the CPU.

    Raises:
        UserError: onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise UserError('an ONNX file needs onnxruntime: pip install "slotaudio[export]"') from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        properties = self._session.get_modelmeta().custom_metadata_map
        self.description = json.loads(properties.get(DESCRIPTION, "{}"))

    def __call__(self, arguments: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the outputs in order."""
        names = [node.name for node in self._session.get_inputs()]
        feed = {name: argument.numpy() for name, argument in zip(names, arguments, strict=True)}
        return [torch.from_numpy(array) for array in self._session.run(None, feed)]


class TorchRuntime:
    """A `torch.export` program, on the CPU."""

    def __init__(self, path: Path) -> None:
        extra = {DESCRIPTION: "{}"}
        self._program = torch.export.load(path, extra_files=extra).module()
        self.description = json.loads(extra[DESCRIPTION])

    def __call__(self, arguments: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the outputs in order.

        Raises:
            UserError: a length that the program was not traced for, such as one that a component treats by itself.
        """
        try:
            return self._program(*arguments)
        except AssertionError as error:  # of a guard that torch.export wrote into the program
            shape = tuple(arguments[0].shape)
            raise UserError(f"the exported program does not take a spectrum of the shape {shape}: {error}") from None


Runtime = OnnxRuntime | TorchRuntime


def load(path: Path) -> Runtime:
    """Load an exported file.

    Raises:
        UserError: its name has no known ending, or a package is missing.
        PretrainedError: it is missing or damaged, or `slotaudio.export` did not write it.
    """
    if path.suffix not in SUFFIXES:
        known = ", ".join(f"{suffix} ({kind})" for suffix, kind in SUFFIXES.items())
        raise UserError(f"{path}: the name of an exported model ends in {known}")
    if not path.is_file():
        raise PretrainedError(f"there is no file {path}")
    try:
        runtime = OnnxRuntime(path) if path.suffix == ".onnx" else TorchRuntime(path)
    except UserError:
        raise
    except Exception as error:  # what a damaged file raises depends on where the damage is
        raise PretrainedError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    if "tensors" not in runtime.description:
        raise PretrainedError(f"{path} does not say what its tensors are: it was not written by `slotaudio export`")
    return runtime


class ExportedModel(SlotModel):
    """A model whose core runs elsewhere, for all that a `slotaudio.Separator` does with a model.

    ``Separator(ExportedModel("model.onnx"))`` separates as the model does that it was made from. It computes on the
    CPU, wherever it is moved. Load ``.pt2`` files only from whom you trust: unlike ONNX and saved models, they are
    read by PyTorch's own loader.

    The program knows one window at a time. That is all there is, but for bottlenecks that look from window to window
    without carrying slots (dual-path ones): they give what `Separator(..., windows_at_once=1)` gives.

    Args:
        path: of a file that `slotaudio.export` wrote.
        frontend: that of the model, needed only if it has weights, which are not in the file.

    Raises:
        UserError, PretrainedError: the file or the frontend cannot be used.
    """

    digest: Tensor

    def __init__(self, path: str | os.PathLike[str], frontend: Frontend | None = None) -> None:
        file = Path(path)
        runtime = load(file)
        about = runtime.description
        specs = {family: Spec.of(like) for family, like in specs_of(about).items()}
        if frontend is None:
            frontend = build("frontend", specs["frontend"])
            if isinstance(frontend, torch.nn.Module) and any(True for _ in frontend.parameters()):
                raise UserError(
                    f"the frontend {specs['frontend'].name!r} has weights, which are not in {file}: "
                    "give ExportedModel(..., frontend=model.frontend)"
                )
        super().__init__(
            frontend,
            _Inside(),
            matcher=build("matcher", specs.get("matcher", "slotaudio/hungarian")),
            specs=specs,
            slots=about["slots"],
            window=about["window"],
            mask=about["mask"],
            names=about.get("names"),
        )
        self.runtime = runtime
        self._leaves_rest = bool(about.get("leaves_rest"))
        self.outputs = tuple(about["tensors"]["outputs"])
        self.free = "initial" in about["tensors"]["inputs"]
        self.any_batch = about["tensors"]["inputs"]["spectrum"][0] == "batch"
        self.start = torch.tensor(about["initial"])
        digest = hashlib.sha256(file.read_bytes()).digest()
        self.register_buffer("digest", torch.tensor(list(digest), dtype=torch.uint8))  # what the model is known by

    @property
    def leaves_rest(self) -> bool:
        """As the model that the program was made from."""
        return self._leaves_rest

    def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Float[Tensor, "batch slots dim"]:
        """Return what the slots start from; nothing is drawn: noise was drawn when the model was exported."""
        return self.start.expand(batch, *self.start.shape)

    @torch.no_grad()
    def forward(
        self,
        windows: Float[Tensor, "batch steps channels time"],
        initial: Float[Tensor, "batch slots dim"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Prediction:
        """Predict for consecutive windows, as `slotaudio.SlotModel` does; features and attention stay inside."""
        batch, steps = windows.shape[:2]
        spectrum = self.frontend(rearrange(windows, "batch steps channels time -> (batch steps) channels time"))
        values = real(spectrum.values)
        slots = self.initial_slots(batch) if initial is None else initial
        if "carried" in self.outputs:  # window by window
            parts = []
            for window in values.unflatten(0, (batch, steps)).unbind(1):
                parts.append(self._run(window, slots))
                slots = parts[-1]["carried"]
            found = {name: torch.stack([part[name] for part in parts], 1).flatten(0, 1) for name in self.outputs}
        else:
            found = self._run(values, slots.repeat_interleave(steps, dim=0))
        masks = found.get("masks")
        if masks is not None and masks.ndim == 6:
            masks = torch.view_as_complex(masks.contiguous())
        by_recording = {
            name: rearrange(found[name], "(batch windows) steps ... -> batch (windows steps) ...", batch=batch)
            for name in ("vectors", "presence")
            if name in found
        }
        return Prediction(
            spectrum,
            Features(values.new_empty(len(values), 1, 0, 1), values.new_empty(0, 2)),
            Slots(**by_recording, carried=slots if "carried" in self.outputs else None),
            Estimates(masks=masks, waves=found.get("waves")),
        )

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> "ExportedModel":
        """Stay as it is when it is moved or cast, as the program does."""
        return self

    def _run(self, values: Tensor, initial: Tensor) -> dict[str, Tensor]:
        given = (values, initial) if self.free else (values,)
        rows = [given] if self.any_batch else zip(*(tensor.split(1) for tensor in given), strict=True)
        found = [self.runtime([tensor.contiguous() for tensor in row]) for row in rows]
        return {name: torch.cat(parts) for name, parts in zip(self.outputs, zip(*found, strict=True), strict=True)}


class _Inside:
    """In the place of the encoder, which is inside the program."""

    out_dim = 0

    def __call__(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Refuse.

        Raises:
            UserError: always.
        """
        raise UserError("an exported model gives masks and slots; its encoder's features stay inside")
