"""Layer norm over a last axis that is short, in one GPU kernel that reads and writes half precision (Triton)."""

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

_ROWS = 32  # read at once by a program


@triton.jit(do_not_specialize=["rows"])
def layer_norm_forward(
    values,  # (rows, DIM)
    weight,
    bias,
    out,  # (rows, DIM)
    middle,  # (rows,), if SAVE: what was subtracted
    scale,  # (rows,), if SAVE: what it was multiplied by
    rows,
    eps,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,  # the power of two from DIM on
    ROWS: tl.constexpr,
    SAVE: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, WIDTH)
    live = (unit < DIM)[None, :]
    here = (row < rows)[:, None] & live
    at = row[:, None].to(tl.int64) * DIM + unit[None, :]
    found = tl.load(values + at, mask=here, other=0.0).to(tl.float32)
    mean = tl.sum(found, 1) / DIM
    centred = tl.where(live, found - mean[:, None], 0.0)
    inverse = 1 / tl.sqrt(tl.sum(centred * centred, 1) / DIM + eps)
    gain = tl.load(weight + unit, mask=unit < DIM, other=0.0).to(tl.float32)
    shift = tl.load(bias + unit, mask=unit < DIM, other=0.0).to(tl.float32)
    made = centred * inverse[:, None] * gain[None, :] + shift[None, :]
    tl.store(out + at, made.to(out.dtype.element_ty), mask=here)
    if SAVE:
        tl.store(middle + row, mean, mask=row < rows)
        tl.store(scale + row, inverse, mask=row < rows)


@triton.jit(do_not_specialize=["rows", "programs"])
def layer_norm_backward(
    values,  # (rows, DIM)
    weight,
    middle,  # (rows,)
    scale,  # (rows,)
    grad_out,  # (rows, DIM)
    grad,  # (rows, DIM)
    grad_weight,  # (programs, DIM): each program's share
    grad_bias,  # (programs, DIM)
    rows,
    programs,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
):
    unit = tl.arange(0, WIDTH)
    live = (unit < DIM)[None, :]
    gain = tl.load(weight + unit, mask=unit < DIM, other=0.0).to(tl.float32)[None, :]
    share_weight = tl.zeros([WIDTH], dtype=tl.float32)
    share_bias = tl.zeros([WIDTH], dtype=tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), programs):
        row = block * ROWS + tl.arange(0, ROWS)
        here = (row < rows)[:, None] & live
        at = row[:, None].to(tl.int64) * DIM + unit[None, :]
        found = tl.load(values + at, mask=here, other=0.0).to(tl.float32)
        given = tl.load(grad_out + at, mask=here, other=0.0).to(tl.float32)
        mean = tl.load(middle + row, mask=row < rows, other=0.0)[:, None]
        inverse = tl.load(scale + row, mask=row < rows, other=0.0)[:, None]
        normal = tl.where(here, (found - mean) * inverse, 0.0)
        share_weight += tl.sum(given * normal, 0)
        share_bias += tl.sum(given, 0)
        given *= gain
        along = (tl.sum(given * normal, 1) / DIM)[:, None]
        level = (tl.sum(given, 1) / DIM)[:, None]
        made = inverse * (given - level - normal * along)
        tl.store(grad + at, made.to(grad.dtype.element_ty), mask=here)
    at = tl.program_id(0) * DIM + unit
    tl.store(grad_weight + at, share_weight, mask=unit < DIM)
    tl.store(grad_bias + at, share_bias, mask=unit < DIM)


def normalise(
    values: Float[Tensor, "*rows dim"],
    weight: Float[Tensor, " dim"],
    bias: Float[Tensor, " dim"],
    eps: float,
    kind: torch.dtype,
) -> Float[Tensor, "*rows dim"]:
    """Return the layer norm over the last axis; means and variances are float32, the result is of type `kind`."""
    return _LayerNorm.apply(values.contiguous(), weight, bias, eps, kind)


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float, kind: torch.dtype) -> Tensor:
        dim = values.shape[-1]
        rows = values.numel() // dim
        out = torch.empty_like(values, dtype=kind)
        middle, scale = values.new_empty((2, rows), dtype=torch.float32)
        save = any(ctx.needs_input_grad)
        layer_norm_forward[(triton.cdiv(rows, _ROWS),)](
            values, weight, bias, out, middle, scale, rows, eps,
            DIM=dim, WIDTH=triton.next_power_of_2(dim), ROWS=_ROWS, SAVE=save, num_warps=4,
        )  # fmt: skip
        if save:
            ctx.save_for_backward(values, weight, middle, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        values, weight, middle, scale = ctx.saved_tensors
        dim = values.shape[-1]
        rows = values.numel() // dim
        programs = min(triton.cdiv(rows, _ROWS), _programs(values.device))
        grad = torch.empty_like(values)
        shares = values.new_empty((2, programs, dim), dtype=torch.float32)
        layer_norm_backward[(programs,)](
            values, weight, middle, scale, grad_out.contiguous(), grad, *shares, rows, programs,
            DIM=dim, WIDTH=triton.next_power_of_2(dim), ROWS=_ROWS, num_warps=4,
        )  # fmt: skip
        grad_weight, grad_bias = shares.sum(1).to(weight.dtype)
        return grad, grad_weight, grad_bias, None, None


def _programs(device: torch.device) -> int:
    """Return how many programs keep a device busy."""
    return 2 if device.type == "cpu" else 8 * torch.cuda.get_device_properties(device).multi_processor_count
