"""A GPU without one: tensors that say they lie there, keep their values here, and refuse to meet those on the CPU."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
"""Where simulated tensors say that they are."""

_META = torch.device("meta")  # where torch thinks that they are: it asks no driver for that device
_aten = torch.ops.aten
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default)


class MixedDevices(RuntimeError):
    """Tensors of two devices meet, or one is read where it does not lie."""


class Simulated(Tensor):
    """A tensor on the simulated GPU; `held` is what it holds."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)

    @staticmethod
    def __new__(cls, held: Tensor) -> "Simulated":
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=_META
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _compute(func, args, kwargs or {})


@contextmanager
def simulated_gpu() -> Iterator[None]:
    """Let ``"cuda"`` be the simulated GPU.

    Raises:
        MixedDevices: from whatever operation is given tensors of two devices.
    """
    with _Operations(), _Calls(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that autocast and recurrent layers miss the real one
        yield


class _Operations(TorchDispatchMode):
    """Also sees what has no tensor among its arguments, such as ``torch.zeros``."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Answers what must not reach the operators: names of devices, and the ways between tensors and Python."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(_translated, (args, kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device") == _META:
            return func(*args, **{**kwargs, "device": "cpu"}).to(_META)
        if not args or not isinstance(args[0], Simulated):
            return args[0].to(_META) if func is Tensor.cuda else func(*args, **kwargs)
        if func is Tensor.new_tensor:
            return func(args[0].held, *args[1:], **kwargs).to(_META)
        if func is Tensor.tolist:
            return args[0].held.tolist()
        if func is Tensor.numpy:
            if kwargs.get("force") or args[1:] == (True,):
                return args[0].held.numpy(force=True)
            raise MixedDevices("numpy() of a tensor on the GPU, which needs .cpu() first")
        return func(*args, **kwargs)


def _translated(value: Any) -> Any:
    if isinstance(value, torch.device) or (isinstance(value, str) and value.startswith("cuda")):
        return _META if torch.device(value).type == "cuda" else value
    return value


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operator on what is held, and put the result where it belongs."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = {id(tensor.held): tensor for tensor in given if isinstance(tensor, Simulated)}
    moves = func in (_aten._to_copy.default, _aten.copy_.default)
    if there and not moves:
        # a GPU takes numbers from the CPU, and indices
        judged = [leaf for leaf in (args[0], *args[2:]) if isinstance(leaf, Tensor)] if func in _INDEXING else given
        for tensor in judged:
            if tensor.ndim and not isinstance(tensor, Simulated):
                name, shape = func.__name__.partition(".")[0], tuple(tensor.shape)
                raise MixedDevices(f"{name}() meets a tensor of shape {shape} on the CPU beside one on the GPU")
    asked = kwargs.get("device")
    if func is _aten.copy_.default:
        arrives = isinstance(args[0], Simulated)
    else:
        arrives = bool(there) if asked is None else asked.type == "meta"
    if arrives and kwargs.get("generator") is not None:
        raise MixedDevices(f"{func.__name__.partition('.')[0]}() draws on the GPU with a generator of the CPU")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if torch.Tag.inplace_view in func.tags and there:  # transpose_() and its like
        with no_dispatch():
            func(*args, **kwargs)
    if not arrives:
        return found
    # what is written to stays the tensor that it was
    return tree_map(lambda leaf: there.get(id(leaf), Simulated(leaf)) if isinstance(leaf, Tensor) else leaf, found)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Simulated) else value
