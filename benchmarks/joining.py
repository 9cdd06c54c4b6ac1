"""How well windows are joined: conversations separated by ideal masks and by trained models, joined by every rule.

    python benchmarks/joining.py path/to/speech/dev
    python benchmarks/joining.py path/to/speech/dev --mixtures 2 --minutes 1 --windows 0.5
    python benchmarks/joining.py path/to/speech/dev --windows --model band-split-fast --model runs/carry/model
    python benchmarks/joining.py path/to/speech/dev --windows --model default --model-window 8 --noise path/to/noise

Each conversation is separated once per system and overlap; then its windows are joined by every rule. The slots
of ideal masks come in a new random order in every window. A model that carries its slots over is measured twice: as
it is, in its own order, and with slots that begin anew in every window, joined by the rules. Prints Markdown.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio import SlotModel, Spec
from slotaudio.data.conversation import Conversation
from slotaudio.data.conversations import Conversations
from slotaudio.evaluation.mean import Mean
from slotaudio.identity import IdentityMeter, IdentityScore
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.pretrained import from_pretrained
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.framing import Framing
from slotaudio.separation.identity import VoiceMemory, mel_power
from slotaudio.separation.joining import AsGiven, Joiner, JoiningRule, SlotWindow
from slotaudio.separation.oracle import Truth, oracle
from slotaudio.separation.separator import Separator
from slotaudio.separation.turns import TurnFollower

PAUSE = 5.0
OVERLAPS = (0.0, 0.5)


class ByEnvelope:
    """Remember the mean log energy of each output in 11 bands; the slots nearest to that go on. A baseline."""

    BANDS, LATEST = 11, 0.1

    def __init__(self) -> None:
        self._memory: Float[Tensor, "batch outputs bands"] | None = None

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        power = torch.nn.functional.adaptive_avg_pool1d(mel_power(window.waves, 16000), self.BANDS)
        level = (power + 1e-8).log()
        if self._memory is None:
            self._memory = level
        order: Tensor = Hungarian()(torch.cdist(level, self._memory).square())
        there = level.gather(1, order[..., None].expand_as(level))
        self._memory = (1 - self.LATEST) * self._memory + self.LATEST * there
        return order


@dataclass(frozen=True)
class Way:
    """How windows are cut and joined."""

    overlap: float
    rule: Callable[[], JoiningRule]
    ahead: float = 8.0
    """Seconds of windows that are decided together; those that go through the model together if 0."""
    follows: bool = False
    """Whether voices are followed from turn to turn afterwards (`slotaudio.separation.turns`)."""


def may_change_places() -> ByContinuity:
    """Return the rule of `Separator` for windows of models of any length."""
    return ByContinuity(Hungarian(), lapses=(0.05, 0.01))


Ways = dict[str, Way]
WAYS: Ways = {
    "no memory": Way(0.0, AsGiven),
    "envelope": Way(0.0, ByEnvelope),
    "voices": Way(0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0), steadiness=0.0)),
    "seams": Way(0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0), trust=0.0)),
    "seams and voices": Way(0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0))),
    "50 % overlap, no memory": Way(0.5, AsGiven),
    "50 % overlap, no voices": Way(0.5, lambda: ByContinuity(Hungarian(), trust=0.0)),
    "50 % overlap and voices, not looking ahead": Way(0.5, lambda: ByContinuity(Hungarian()), 0.0),
    "50 % overlap and voices": Way(0.5, lambda: ByContinuity(Hungarian())),
    "50 % overlap and voices, which may change places": Way(0.5, may_change_places),
    "the same, followed from turn to turn": Way(0.5, may_change_places, follows=True),
}
CARRIED: Ways = {"carried over": Way(0.0, AsGiven), "50 % overlap, carried over": Way(0.5, AsGiven)}


@dataclass
class Judged:
    """What was found of one way of joining, conversation by conversation."""

    fine: list[IdentityScore] = field(default_factory=list)
    """Judged every half second."""
    windows: list[IdentityScore] = field(default_factory=list)
    """Judged window by window of the system: did it go on in the same output?"""


class Recorder(AsGiven):
    """Keep the windows instead of joining them."""

    def __init__(self) -> None:
        self.windows: list[SlotWindow] = []

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        self.windows.append(window)
        return super().__call__(shared, window)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with one folder per speaker")
    parser.add_argument("--mixtures", type=int, default=5, help="conversations")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--windows", type=float, nargs="*", default=[0.5, 1.0], help="seconds, with ideal masks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], help="trained models")
    parser.add_argument("--model-window", type=float, default=2.0, help="seconds, for models of any length")
    parser.add_argument("--noise", help="folder of noise, or 'babble', 10 dB below the voices")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talks = Conversations(
        options.data,
        seconds=60 * options.minutes,
        size=options.mixtures,
        seed=options.seed,
        fixed=True,
        noise=options.noise,
        snr=(10.0, 10.0),
    )
    print(f"{len(talks)} conversations of {options.minutes:g} min, two speakers, seed {options.seed}\n")
    columns = "window | rule | windows joined | right joins | right speaker | swaps/min | returns after 5 s: right"
    print(f"| {columns} | wrong per min | SI-SDRi |\n|{'---|' * 9}", flush=True)
    for label, ways, make in systems(options):
        found: dict[str, Judged] = {name: Judged() for name in ways}
        for number in range(len(talks)):
            for name, fine, windows in measure(talks.conversation(number), options.seed + number, ways, make):
                found[name].fine.append(fine)
                found[name].windows.append(windows)
        for name, judged in found.items():
            row(label, name, judged, options.minutes)


Make = Callable[[Conversation, int, float], Separator]


def systems(options: argparse.Namespace) -> Iterator[tuple[str, Ways, Make]]:
    """Name what separates, by which rules its windows are joined, and how to make it for a conversation."""
    for window in options.windows:

        def ideal(talk: Conversation, seed: int, overlap: float, window: float = window) -> Separator:
            shuffle = torch.Generator().manual_seed(seed)
            model = oracle(talk.sources()[None], Spec("stft"), window, Spec("wiener"), shuffle)
            return Separator(model, overlap=overlap, consistent=False)

        yield f"ideal, {window:g} s", WAYS, ideal
    for name in options.model:
        model = from_pretrained(name)
        label = f"{Path(name).parent.name or name}, {model.window or options.model_window:g} s"

        def trained(model: SlotModel) -> Make:
            return lambda talk, seed, overlap: Separator(model, overlap=overlap, long_window=options.model_window)

        inner = getattr(model.bottleneck, "wraps", None)
        if inner:
            yield label, CARRIED, trained(model)
        yield f"{label}, begun anew" if inner else label, WAYS, trained(begun_anew(model) if inner else model)


def begun_anew(model: SlotModel) -> SlotModel:
    """Return the same model without its memory: every window starts from the first window's slots."""
    stages = {name: getattr(model, name) for name in ("frontend", "encoder", "decoder", "matcher")}
    bottleneck = getattr(model.bottleneck, model.bottleneck.wraps)
    options = {"slots": model.slots, "window": model.window, "mask": model.mask}
    return SlotModel(bottleneck=bottleneck, specs=model.specs, **stages, **options).eval()


def measure(
    talk: Conversation, seed: int, ways: Ways, make: Make
) -> Iterator[tuple[str, IdentityScore, IdentityScore]]:
    """Join the windows of one conversation by all rules."""
    sources = talk.sources()[:, 0]
    for overlap in OVERLAPS:
        separator = make(talk, seed, overlap)
        framing = separator.framing
        if isinstance(separator.model.decoder, Truth):
            separator.model.decoder.rewind(framing)
        recorder = Recorder()
        stream = separator.open(talk.sample_rate, recorder)
        for mixture, _ in talk.blocks():
            stream.push(mixture[None])
        stream.finish()
        for name, way in ways.items():
            if way.overlap == overlap:
                together = Framing.of(framing.window, overlap, separator.sample_rate, ahead=way.ahead).together
                joined = join(recorder.windows, framing.window, framing.hop, together, way.rule())
                if way.follows:
                    follower = TurnFollower(Hungarian(), separator.sample_rate)
                    pieces = [follower.push(joined[None, :, None]), follower.finish()]
                    joined = torch.cat(pieces, dim=-1)[0, :, 0]
                joined = joined[:, framing.lead : framing.lead + sources.shape[1]]
                fine, windows = (
                    judge(joined, sources, talk.sample_rate, seconds)
                    for seconds in (0.5, framing.window / separator.sample_rate)
                )
                yield name, fine, windows


def judge(joined: Tensor, sources: Tensor, sample_rate: int, seconds: float) -> IdentityScore:
    meter = IdentityMeter(sample_rate, seconds, pause=PAUSE)
    meter.update(joined, sources[:, : joined.shape[1]])
    return meter.compute()


def join(windows: Sequence[SlotWindow], window: int, hop: int, together: int, rule: JoiningRule) -> Tensor:
    joiner, pieces = Joiner(window, hop, rule), []
    for start in range(0, len(windows), together):
        joiner.foresee(windows[start : start + together])
        pieces += [joiner.push(each)[0] for each in windows[start : start + together]]
    return torch.cat([*pieces, joiner.finish()], dim=-1)[0, :, 0]


def row(system: str, name: str, judged: Judged, minutes: float) -> None:
    fine = judged.fine

    def mean(of: Callable[[IdentityScore], float], found: Sequence[IdentityScore] = fine) -> float:
        return Mean.of(map(of, found)).mean

    wrong = sum(each.returns * (1 - each.right_returns) for each in fine if each.returns) / (minutes * len(fine))
    print(
        f"| {system} | {name} | {mean(lambda f: f.right_joins, judged.windows):.1%} | "
        f"{mean(lambda f: f.right_joins):.1%} | {mean(lambda f: f.right_windows):.1%} | "
        f"{mean(lambda f: f.swaps_per_minute):.2f} | {mean(lambda f: f.right_returns):.1%} | {wrong:.2f} | "
        f"{mean(lambda f: f.si_sdri):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"\n{time.process_time() - began:.0f} s of processor time")
