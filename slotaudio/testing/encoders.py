"""Conformance of encoders: features of a spectrum to tokens."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from slotaudio.testing.drawing import noise
from slotaudio.testing.modules import ModuleConformance
from slotaudio.testing.stages import move_off_the_start
from slotaudio.types import Encoder, Features


class EncoderConformance(ModuleConformance):
    """Checks for encoders.

    Attributes:
        in_channels, freq: maps and bands of the features that it is shown, as a frontend would offer them.
        frames: least and largest number of frames (samples, for encoders of waves).
        sample_rate: in hertz, as a frontend would offer it.
        local: a token tells most of what lies at its position; False where each mixes everything.
    """

    family = "encoder"
    contract = Encoder.__call__
    in_channels: ClassVar[int] = 1
    freq: ClassVar[int] = 32
    frames: ClassVar[tuple[int, int]] = (1, 12)
    sample_rate: ClassVar[int] = 16000
    local: ClassVar[bool] = True

    def offered(self) -> dict[str, Any]:
        return {
            "slots": 3,
            "sample_rate": self.sample_rate,
            "channels": 1,
            "in_channels": self.in_channels,
            "freq": self.freq,
        }

    def sizes(self) -> dict[str, tuple[int, int]]:
        return {"batch": (1, 3), "frames": self.frames}

    def inputs(self, seed: int, **sizes: int) -> tuple[Any, ...]:
        return (noise(seed, sizes["batch"], self.in_channels, self.freq, sizes["frames"]),)

    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        return {"features": inputs[0]}

    def perceived(self, output: Features) -> Tensor:
        return output.tokens

    def check_output(self, module: Any, inputs: tuple[Any, ...], output: Features) -> None:
        out_dim = getattr(module, "out_dim", None)
        self.require(isinstance(out_dim, int), "has no attribute out_dim, which the bottleneck's in_dim is read from")
        self.require(isinstance(output, Features), f"returns {type(output).__name__}, not Features")
        batch, steps, tokens, dim = output.tokens.shape
        self.require(batch == len(inputs[0]), f"turns {len(inputs[0])} batch items into {batch}")
        self.require(dim == out_dim, f"offers out_dim={out_dim} and returns tokens of width {dim}")
        self.require(steps >= 1 and tokens >= 1, f"returns {steps} steps of {tokens} tokens")
        self.require(
            output.positions.ndim == 2 and len(output.positions) == tokens,
            f"returns positions of shape {tuple(output.positions.shape)} for {tokens} tokens",
        )
        self.require(
            bool((output.positions.abs() <= 1 + 1e-5).all()), "returns positions outside -1 to 1, or not finite"
        )
        axes = output.positions.shape[1]
        self.require(
            axes in (1, 2), f"returns positions with {axes} axes; there are one (time) or two (frequency, time)"
        )
        cells = [skip.shape[2:].numel() for skip in output.skips]
        self.require(all(len(skip) == batch for skip in output.skips), "returns skips of another batch size")
        self.require(cells == sorted(cells, reverse=True), f"returns skips of {cells} cells; the coarsest comes last")

    def test_dimensions_are_threaded(self) -> None:
        """It takes the number of maps that the frontend offers, where it has a parameter for that, and hears each."""
        for maps in (1, 2, 3) if self.takes("in_channels") and "in_channels" not in self.options else ():
            offered = {**self.offered(), "in_channels": maps}
            module = self.build_from(offered).eval()
            inputs = (noise(0, 2, maps, self.freq, self.frames[1]),)
            with torch.no_grad():
                self.check_output(module, inputs, module(*inputs))
            if isinstance(module, nn.Module):
                move_off_the_start(module, 1)
            self.require_heard(module, inputs)

    def test_positions_are_the_same_for_every_content(self) -> None:
        """Positions say where tokens lie, not what they hold."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            with torch.no_grad():
                one, other = (module(*self.inputs(each, **sizes)).positions for each in (seed, seed + 1))
            self.require(torch.equal(one, other), "moves its positions with the content")

        self.for_all(check)

    def test_tokens_lie_at_their_positions(self) -> None:
        """Where a token says that it lies, it is moved most by the input; steps come in the order of time."""
        if not self.local or self.may_cut(self.module()):
            return

        def check(seed: int, **sizes: int) -> None:
            module = self.module(torch.float64)
            (features,) = self.double(self.inputs(seed, **sizes))
            features.requires_grad_()
            output = module(features)
            steps, tokens = output.tokens.shape[1:3]
            for which, count in (("steps", steps), ("tokens", tokens)):
                chosen = torch.linspace(0, count - 1, min(count, 24)).long()
                heard = torch.stack([_centre(output.tokens, features, which, int(index)) for index in chosen])
                said = output.positions[chosen] if which == "tokens" else chosen[:, None].to(heard)
                for axis, name in enumerate(("frequency", "time")[-said.shape[1] :]):
                    found = _correlation(said[:, axis], heard[:, -said.shape[1] + axis])
                    where = f"along {name} its {which} hear other places than they say (correlation {found:.2f}): "
                    self.require(found > 0.5, where + "positions, or steps, are in another order than the tokens")

        self.for_all(check, **self.largest())


def _centre(tokens: Tensor, features: Tensor, which: str, index: int) -> Tensor:
    """Return the frequency and time, from -1 to 1, around which the input moves one token or step."""
    part = tokens.select(2 if which == "tokens" else 1, index)
    ways = noise(index, *part.shape).to(part)
    (gradient,) = torch.autograd.grad((part * ways).sum(), features, retain_graph=True)
    weight = gradient.square().sum(dim=(0, 1))
    weight = weight / weight.sum().clamp_min(1e-300)
    freq, frames = (torch.linspace(-1, 1, size).to(weight) for size in weight.shape)
    return torch.stack([(weight.sum(1) * freq).sum(), (weight.sum(0) * frames).sum()])


def _correlation(said: Tensor, heard: Tensor) -> float:
    """Return how well two agree, 1 at best; 1 as well where there is nothing to tell apart."""
    said, heard = said.to(heard) - said.to(heard).mean(), heard - heard.mean()
    size = float(said.norm() * heard.norm())
    return float((said * heard).sum()) / size if size > 1e-9 else 1.0
