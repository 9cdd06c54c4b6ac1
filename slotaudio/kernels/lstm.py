"""All time steps of a bidirectional LSTM in one GPU kernel, forward and backward (Triton)."""

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


@triton.jit
def _tanh(values):
    return 2 * tl.sigmoid(2 * values) - 1


@triton.jit(do_not_specialize=["length", "rows"])
def lstm_forward(
    gates,  # (length, rows, 2, 4, HIDDEN): what the input gives to each gate; SAVE: the gates' values instead
    weight,  # (2, 4, HIDDEN of the gate, HIDDEN of the state)
    out,  # (length, rows, 2, HIDDEN)
    cells,  # like out, if SAVE
    length,
    rows,
    HIDDEN: tl.constexpr,
    WIDTH: tl.constexpr,  # the power of two from HIDDEN on, at least 16
    ROWS: tl.constexpr,
    SAVE: tl.constexpr,
):
    direction = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, WIDTH)
    live = unit < HIDDEN
    square = live[:, None] & live[None, :]
    at = weight + direction * 4 * HIDDEN * HIDDEN + unit[:, None] + unit[None, :] * HIDDEN
    to_input = tl.load(at, mask=square, other=0.0)
    to_forget = tl.load(at + HIDDEN * HIDDEN, mask=square, other=0.0)
    to_cell = tl.load(at + 2 * HIDDEN * HIDDEN, mask=square, other=0.0)
    to_output = tl.load(at + 3 * HIDDEN * HIDDEN, mask=square, other=0.0)

    here = (row < rows)[:, None] & live[None, :]
    # towards the end of time, or towards its beginning
    turn = 1 - 2 * direction
    first = (direction * (length - 1)).to(tl.int64) * rows
    gate_at = gates + (first + row[:, None]) * 8 * HIDDEN + direction * 4 * HIDDEN + unit[None, :]
    out_at = out + (first + row[:, None]) * 2 * HIDDEN + direction * HIDDEN + unit[None, :]
    cell_at = cells + (first + row[:, None]) * 2 * HIDDEN + direction * HIDDEN + unit[None, :]
    gate_step = turn.to(tl.int64) * rows * 8 * HIDDEN
    out_step = turn.to(tl.int64) * rows * 2 * HIDDEN

    state = tl.zeros([ROWS, WIDTH], dtype=out.dtype.element_ty)
    cell = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    given_i = tl.load(gate_at, mask=here, other=0.0)
    given_f = tl.load(gate_at + HIDDEN, mask=here, other=0.0)
    given_g = tl.load(gate_at + 2 * HIDDEN, mask=here, other=0.0)
    given_o = tl.load(gate_at + 3 * HIDDEN, mask=here, other=0.0)
    for step in range(length):
        i = given_i.to(tl.float32)
        f = given_f.to(tl.float32)
        g = given_g.to(tl.float32)
        o = given_o.to(tl.float32)
        # of the next step, on its way while this one computes
        ahead = here & (step + 1 < length)
        given_i = tl.load(gate_at + gate_step, mask=ahead, other=0.0)
        given_f = tl.load(gate_at + gate_step + HIDDEN, mask=ahead, other=0.0)
        given_g = tl.load(gate_at + gate_step + 2 * HIDDEN, mask=ahead, other=0.0)
        given_o = tl.load(gate_at + gate_step + 3 * HIDDEN, mask=ahead, other=0.0)
        i = tl.sigmoid(tl.dot(state, to_input, i))
        f = tl.sigmoid(tl.dot(state, to_forget, f))
        g = _tanh(tl.dot(state, to_cell, g))
        o = tl.sigmoid(tl.dot(state, to_output, o))
        cell = f * cell + i * g
        state = (o * _tanh(cell)).to(state.dtype)
        tl.store(out_at, state, mask=here)
        if SAVE:
            tl.store(gate_at, i.to(state.dtype), mask=here)
            tl.store(gate_at + HIDDEN, f.to(state.dtype), mask=here)
            tl.store(gate_at + 2 * HIDDEN, g.to(state.dtype), mask=here)
            tl.store(gate_at + 3 * HIDDEN, o.to(state.dtype), mask=here)
            tl.store(cell_at, cell.to(state.dtype), mask=here)
        gate_at += gate_step
        out_at += out_step
        cell_at += out_step


@triton.jit(do_not_specialize=["length", "rows"])
def lstm_backward(
    gates,  # (length, rows, 2, 4, HIDDEN): the gates' values
    weight,  # (2, 4, HIDDEN of the gate, HIDDEN of the state)
    cells,  # (length, rows, 2, HIDDEN)
    grad_out,  # like cells
    grad_gates,  # like gates: gradients of what the input gave to each gate
    length,
    rows,
    HIDDEN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
):
    direction = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.arange(0, WIDTH)
    live = unit < HIDDEN
    square = live[:, None] & live[None, :]
    at = weight + direction * 4 * HIDDEN * HIDDEN + unit[:, None] * HIDDEN + unit[None, :]
    from_input = tl.load(at, mask=square, other=0.0)
    from_forget = tl.load(at + HIDDEN * HIDDEN, mask=square, other=0.0)
    from_cell = tl.load(at + 2 * HIDDEN * HIDDEN, mask=square, other=0.0)
    from_output = tl.load(at + 3 * HIDDEN * HIDDEN, mask=square, other=0.0)

    here = (row < rows)[:, None] & live[None, :]
    turn = 2 * direction - 1  # against the direction in which it ran
    last = ((1 - direction) * (length - 1)).to(tl.int64) * rows
    offset = (last + row[:, None]) * 8 * HIDDEN + direction * 4 * HIDDEN + unit[None, :]
    gate_at = gates + offset
    grad_at = grad_gates + offset
    offset = (last + row[:, None]) * 2 * HIDDEN + direction * HIDDEN + unit[None, :]
    cell_at = cells + offset
    out_at = grad_out + offset
    gate_step = turn.to(tl.int64) * rows * 8 * HIDDEN
    out_step = turn.to(tl.int64) * rows * 2 * HIDDEN

    grad_state = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    grad_cell = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    next_i = tl.load(gate_at, mask=here, other=0.0)
    next_f = tl.load(gate_at + HIDDEN, mask=here, other=0.0)
    next_g = tl.load(gate_at + 2 * HIDDEN, mask=here, other=0.0)
    next_o = tl.load(gate_at + 3 * HIDDEN, mask=here, other=0.0)
    next_grad = tl.load(out_at, mask=here, other=0.0)
    next_cell = tl.load(cell_at, mask=here, other=0.0)
    before = tl.load(cell_at + out_step, mask=here & (length > 1), other=0.0)
    for step in range(length):
        i = next_i.to(tl.float32)
        f = next_f.to(tl.float32)
        g = next_g.to(tl.float32)
        o = next_o.to(tl.float32)
        squashed = _tanh(next_cell.to(tl.float32))
        grad_state += next_grad.to(tl.float32)
        next_cell = before
        # of the step before in its time, on their way while this one computes
        ahead = here & (step + 1 < length)
        next_i = tl.load(gate_at + gate_step, mask=ahead, other=0.0)
        next_f = tl.load(gate_at + gate_step + HIDDEN, mask=ahead, other=0.0)
        next_g = tl.load(gate_at + gate_step + 2 * HIDDEN, mask=ahead, other=0.0)
        next_o = tl.load(gate_at + gate_step + 3 * HIDDEN, mask=ahead, other=0.0)
        next_grad = tl.load(out_at + out_step, mask=ahead, other=0.0)
        before = tl.load(cell_at + 2 * out_step, mask=here & (step + 2 < length), other=0.0)

        grad_cell += grad_state * o * (1 - squashed * squashed)
        grad_o = (grad_state * squashed * o * (1 - o)).to(from_output.dtype)
        grad_i = (grad_cell * g * i * (1 - i)).to(from_output.dtype)
        grad_g = (grad_cell * i * (1 - g * g)).to(from_output.dtype)
        grad_f = (grad_cell * next_cell.to(tl.float32) * f * (1 - f)).to(from_output.dtype)
        grad_cell *= f
        tl.store(grad_at, grad_i, mask=here)
        tl.store(grad_at + HIDDEN, grad_f, mask=here)
        tl.store(grad_at + 2 * HIDDEN, grad_g, mask=here)
        tl.store(grad_at + 3 * HIDDEN, grad_o, mask=here)
        grad_state = tl.dot(grad_i, from_input)
        grad_state = tl.dot(grad_f, from_forget, grad_state)
        grad_state = tl.dot(grad_g, from_cell, grad_state)
        grad_state = tl.dot(grad_o, from_output, grad_state)
        gate_at += gate_step
        grad_at += gate_step
        cell_at += out_step
        out_at += out_step


def recur(
    gates: Float[Tensor, "length rows gates"], weight: Float[Tensor, "two four_hidden hidden"]
) -> Float[Tensor, "length rows states"]:
    """Return the states of a bidirectional LSTM, both directions side by side, from zero states.

    Args:
        gates: what the input, with all biases, gives to the gates: input, forget, cell and output gate of the forward
            direction, then those of the backward direction. Overwritten where gradients are wanted.
        weight: of each direction, from state to gates, as `torch.nn.LSTM` has it.
    """
    return _Recurrence.apply(gates, weight)


def shared_memory(hidden: int, rows: int = 16) -> int:
    """Return the bytes of shared memory that a program of so many rows takes at most.

    All weights of a direction lie there; 10 bytes for each state are what moves between threads.
    """
    width = _width(hidden)
    return (4 * 2 * width + 10 * rows) * width


def _width(hidden: int) -> int:
    """Return how wide tensor cores take it."""
    return max(16, triton.next_power_of_2(hidden))


def layout(rows: int, hidden: int, device: torch.device) -> dict[str, int]:
    """Return how many rows one program takes and how many warps it has.

    A multiprocessor holds one program: rows are few where all programs run at once, and more where some would wait.
    """
    few = {"ROWS": 16, "num_warps": 8}
    if device.type == "cpu":  # Triton's interpreter
        return few
    properties: Any = torch.cuda.get_device_properties(device)  # torch's annotations lack what is asked for
    waves = 2 * triton.cdiv(rows, 16) / properties.multi_processor_count
    if waves <= 1 or shared_memory(hidden, 32) > properties.shared_memory_per_block_optin:
        return few
    return {"ROWS": 32, "num_warps": 16}


class _Recurrence(torch.autograd.Function):
    """The recurrence with its gradients. The products over all steps are left to PyTorch."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor) -> Tensor:
        length, rows = gates.shape[:2]
        hidden = weight.shape[-1]
        out = gates.new_empty(length, rows, 2 * hidden)
        save = any(ctx.needs_input_grad)
        cells = torch.empty_like(out) if save else out
        how = layout(rows, hidden, gates.device)
        lstm_forward[triton.cdiv(rows, how["ROWS"]), 2](
            gates, weight, out, cells, length, rows, HIDDEN=hidden, WIDTH=_width(hidden), SAVE=save, **how
        )
        if save:
            ctx.save_for_backward(gates, weight, out, cells)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor]:
        gates, weight, out, cells = ctx.saved_tensors
        length, rows = gates.shape[:2]
        hidden = weight.shape[-1]
        grad = torch.empty_like(gates)
        how = layout(rows, hidden, gates.device)
        lstm_backward[triton.cdiv(rows, how["ROWS"]), 2](
            gates, weight, cells, grad_out.contiguous(), grad, length, rows,
            HIDDEN=hidden, WIDTH=_width(hidden), **{**how, "num_warps": 8},
        )  # fmt: skip
        # each state went into the gates of the step after it
        forth = grad[1:, :, : 4 * hidden].flatten(0, 1).mT @ out[:-1, :, :hidden].flatten(0, 1)
        back = grad[:-1, :, 4 * hidden :].flatten(0, 1).mT @ out[1:, :, hidden:].flatten(0, 1)
        return grad, torch.stack([forth, back])
