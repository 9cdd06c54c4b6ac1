"""Can slots that are carried over keep voices apart? A carry-over trained to join windows with ideal masks.

    python benchmarks/carry_over.py path/to/speech/train path/to/speech/dev

What a trained separator loses, it loses to separation as well. Here the windows are separated (by ideal masks) and only
their order is lost, so that nothing but identity is left to be learned: `carry_over` around `slot_attention` sees what
each slot of a window holds, in random order, and the slots that it carries attend to what is theirs. Trained on
conversations with one assignment for each, and beside it to name the training speaker of each window, without which
voices are found late; measured on speakers it never heard as one more rule of joining.py. It decides window by
window, at once. Prints Markdown.
"""

import argparse
import math
import time
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from joining import Judged, Way, measure, row, systems
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from slotaudio import Spec, build
from slotaudio.data.conversations import Conversations
from slotaudio.separation.identity import mel_power
from slotaudio.separation.joining import SlotWindow
from slotaudio.types import Features

RATE, WINDOW, FRAME = 16000, 8000, 512
BANDS, WIDTH, DIM = 40, 128, 192
CLEAR = 6
"""Frames in which a slot has to be heard for its speaker to be asked for."""


class Joining(nn.Module):
    """Tokens of what the slots of a window hold, carried slots, and the order that they say."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(BANDS, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv1d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()
        )
        self.token = nn.Sequential(nn.Linear(4 * WIDTH + 2 * BANDS + 1, 2 * DIM), nn.ReLU(), nn.Linear(2 * DIM, DIM))
        inner = Spec("slot_attention", slot_dim=DIM, iterations=1, temperature=1.0, positions=False).to_dict()
        carried = Spec("carry_over", bottleneck=inner, predictor="none")
        self.bottleneck = build("bottleneck", carried, in_dim=DIM, slots=2)

    def tokens(self, seen: "Seen") -> Float[Tensor, "batch steps slots dim"]:
        """Return what each slot of each window sounds like, on the whole and at its ends."""
        flat = rearrange(seen.mel, "batch steps slots frames bands -> (batch steps slots) bands frames")
        frames = rearrange(self.frames(flat), "rows width frames -> rows frames width").unflatten(0, seen.mel.shape[:3])
        weight = seen.heard[..., None].float()
        count = weight.sum(dim=3)
        mean = (weight * frames).sum(dim=3) / count.clamp_min(1.0)
        spread = ((weight * (frames - mean[..., None, :]).square()).sum(dim=3) / count.clamp_min(1.0) + 1e-4).sqrt()
        ends = [of[..., place, :] for of in (frames, seen.mel) for place in (0, -1)]
        return self.token(torch.cat([mean, spread, *ends, count / seen.mel.shape[3]], dim=-1))

    def forward(
        self, tokens: Float[Tensor, "batch steps slots dim"], initial: Float[Tensor, "batch slots dim"] | None = None
    ) -> tuple[Float[Tensor, "batch steps"], Float[Tensor, "batch slots dim"]]:
        """Return how much the given order is favoured over the other one, and the slots to carry on."""
        start = self.bottleneck.initial_slots(len(tokens)) if initial is None else initial
        slots = self.bottleneck(Features(tokens, tokens.new_zeros(tokens.shape[2], 1)), start)
        fits = slots.attention.clamp_min(1e-9).log()  # softmax over slots: whose token is it?
        return fits[..., 0, 0] + fits[..., 1, 1] - fits[..., 0, 1] - fits[..., 1, 0], slots.carried


@dataclass(frozen=True)
class Seen:
    """What is looked at of windows: log mel energies, and where each slot is louder than the other."""

    mel: Float[Tensor, "batch steps slots frames bands"]
    heard: Bool[Tensor, "batch steps slots frames"]
    loudest: Float[Tensor, "batch"]
    """Of the last window: what others are compared with later."""


def look(waves: Float[Tensor, "batch steps slots window"], loudest: Float[Tensor, "batch"] | None = None) -> Seen:
    """Look at windows; levels are relative to the loudest frame so far."""
    frames = torch.cat([waves.unfold(-1, FRAME, FRAME), waves[..., None, -FRAME:]], dim=3)  # both ends are among them
    power = mel_power(rearrange(frames, "batch steps slots f t -> (batch steps slots) f 1 t"), RATE)
    power = power.unflatten(0, waves.shape[:3])
    energy = power.sum(dim=-1)
    top = energy.sum(dim=2).amax(dim=2)
    if loudest is not None:
        top = torch.maximum(top, loudest[:, None])
    top = top.cummax(dim=1).values.clamp_min(1e-10)
    scale = rearrange(top, "batch steps -> batch steps 1 1 1")
    mel = ((power * BANDS / scale + 1e-4).log() + 5) / 3
    heard = (energy > 1e-3 * scale[..., 0]) & (2 * energy > energy.sum(dim=2, keepdim=True))
    return Seen(mel, heard, top[:, -1])


class ByCarriedSlots:
    """Put the slots of each window in the order that the carried slots say; long windows are heard in pieces."""

    def __init__(self, model: Joining) -> None:
        self.model = model
        self._loudest: Tensor | None = None
        self._carried: Tensor | None = None

    @torch.no_grad()
    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        waves = window.waves.mean(dim=2)
        pieces = rearrange(waves[..., : waves.shape[-1] // WINDOW * WINDOW], "b slots (n t) -> b n slots t", t=WINDOW)
        seen = look(pieces, self._loudest)
        self._loudest = seen.loudest
        favoured, self._carried = self.model(self.model.tokens(seen), self._carried)
        order = torch.arange(2).expand(len(favoured), 2)
        return torch.where(favoured.sum(dim=1, keepdim=True) >= 0, order, order.flip(1))


def dealt(sources: Float[Tensor, "batch sources time"], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Cut clips into windows whose slots come in random order and leak a little; say the order and who is heard."""
    windows = rearrange(
        sources[..., : sources.shape[-1] // WINDOW * WINDOW],
        "batch sources (steps window) -> batch steps sources window",
        window=WINDOW,
    )
    energy = windows.square().mean(dim=3)
    heard = energy > 1e-3 * energy.amax(dim=1, keepdim=True)
    leak = 10 ** (-torch.empty(len(windows), 1, 1, 1).uniform_(15, 40, generator=generator) / 20)
    waves = windows + leak * windows.flip(2)
    swapped = torch.rand(windows.shape[:2], generator=generator) < 0.5
    waves = torch.where(swapped[:, :, None, None], waves.flip(2), waves)
    return waves, torch.where(swapped, -1.0, 1.0), heard.any(dim=2)


def trained(options: argparse.Namespace) -> Joining:
    """Train for so many minutes of processor time."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    clips = Conversations(
        options.train,
        seconds=options.seconds,
        size=10**6,
        seed=options.seed,
        overlap=(0.0, 0.5),
        turn=(1.0, 6.0),
        pauses=2.0,
        pause=(2.0, 6.0),
        groups=options.groups,
        cache=True,
    )
    numbers = {speaker: number for number, speaker in enumerate(clips.folder.speakers)}
    model, naming = Joining(), nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, len(numbers)))
    optimizer = torch.optim.AdamW([*model.parameters(), *naming.parameters()], options.rate, weight_decay=0.01)
    step, began = 0, time.process_time()
    losses: list[tuple[float, float]] = []
    while (progress := (time.process_time() - began) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1.0, 20 * progress + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
        items = [clips[step * options.clips + n] for n in range(options.clips)]
        waves, order, heard = dealt(torch.stack([sources[:, 0] for _, sources, _ in items]), generator)
        seen = look(waves)
        tokens = model.tokens(seen)
        favoured, _ = model(tokens)
        costs = torch.stack([nn.functional.softplus(-sign * order * favoured) * heard for sign in (1, -1)])
        loss = (costs.sum(dim=2) / heard.sum(dim=1).clamp_min(1)).amin(dim=0).mean()  # one assignment for each clip
        who = torch.tensor([[numbers[speaker] for speaker in known["speakers"]] for _, _, known in items])[:, None]
        dealt_to = torch.where(order[..., None] < 0, who.flip(2), who)
        clear = seen.heard.sum(dim=3) >= CLEAR
        named = nn.functional.cross_entropy(naming(tokens[clear]), dealt_to[clear])
        optimizer.zero_grad()
        (loss + options.naming * named).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append((loss.item(), named.item()))
        step += 1
        if step % 50 == 0:
            means = torch.tensor(losses).mean(dim=0).tolist()
            print(f"step {step}, {progress:.0%}: order {means[0]:.3f}, speaker {means[1]:.2f}", flush=True)
            losses = []
    hours = step * options.clips * options.seconds / 3600
    weights = sum(weight.numel() for weight in model.parameters())
    print(f"\n{weights / 1e6:.2f} M weights, {step} steps of {options.clips} clips, {hours:.1f} h of conversations\n")
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="a folder with one folder per speaker")
    parser.add_argument("dev", help="another one, of other speakers")
    parser.add_argument("--minutes", type=float, default=20.0, help="processor time of the training")
    parser.add_argument("--seconds", type=float, default=24.0, help="length of a training clip")
    parser.add_argument("--clips", type=int, default=10, help="in a batch")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--naming", type=float, default=0.2, help="weight of the cross-entropy of training speakers")
    parser.add_argument("--groups", type=lambda text: {text: 0.7}, help="corpus of 70 %% of the clips")
    parser.add_argument("--mixtures", type=int, default=5, help="conversations to measure")
    parser.add_argument("--talk", type=float, default=5.0, help="minutes of each")
    parser.add_argument("--output", help="file for the weights (safetensors)")
    parser.add_argument("--weights", help="such a file: measure these and train nothing")
    parser.add_argument("--model", action="append", default=[], help="also join the windows of trained models")
    parser.add_argument("--model-window", type=float, default=2.0, help="seconds, for models of any length")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.weights:
        model = Joining().eval()
        model.load_state_dict(load_file(options.weights))
    else:
        model = trained(options)
    if options.output:
        save_file(model.state_dict(), options.output)
    talks = Conversations(options.dev, seconds=60 * options.talk, size=options.mixtures, seed=0, fixed=True)
    ways = {"carried slots": Way(0.0, lambda: ByCarriedSlots(model), 0.0)}
    options.windows = [WINDOW / RATE]
    for label, _, make in systems(options):
        judged = Judged()
        for number in range(len(talks)):
            for _, fine, windows in measure(talks.conversation(number), number, ways, make):
                judged.fine.append(fine)
                judged.windows.append(windows)
        row(label, "carried slots", judged, options.talk)


if __name__ == "__main__":
    main()
