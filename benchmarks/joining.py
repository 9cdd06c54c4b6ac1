"""How well windows are joined: conversations with ideal masks, whose slots come in a new order in every window.

    python benchmarks/joining.py path/to/speech/dev
    python benchmarks/joining.py path/to/speech/dev --mixtures 2 --minutes 1 --windows 0.5
    python benchmarks/joining.py path/to/speech/dev --model runs/carry-over/model    # a model's own order as well

Each conversation is separated once per window and overlap; then its windows are joined by every rule. Prints
Markdown.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from slotaudio import Spec
from slotaudio.data.conversation import Conversation
from slotaudio.data.conversations import Conversations
from slotaudio.evaluation.long import evaluate_long
from slotaudio.evaluation.results import Mean
from slotaudio.evaluation.rows import model_rows
from slotaudio.identity import Identity, IdentityMeter
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.pretrained import from_pretrained
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.identity import VoiceMemory
from slotaudio.separation.joining import AsGiven, Joiner, JoiningRule, SlotWindow
from slotaudio.separation.oracle import Truth, oracle
from slotaudio.separation.separator import Separator

PAUSE = 5.0
RULES: dict[str, tuple[float, Callable[[], JoiningRule]]] = {
    "no memory": (0.0, AsGiven),
    "voices": (0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0), steadiness=0.0)),
    "seams": (0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0), trust=0.0)),
    "seams and voices": (0.0, lambda: ByContinuity(Hungarian(), VoiceMemory(fresh=1.0))),
    "50 % overlap, no voices": (0.5, lambda: ByContinuity(Hungarian(), trust=0.0)),
    "50 % overlap and voices": (0.5, lambda: ByContinuity(Hungarian())),
}


class Recorder(AsGiven):
    """Keep the windows instead of joining them."""

    def __init__(self) -> None:
        self.windows: list[SlotWindow] = []

    def __call__(self, shared: torch.Tensor | None, window: SlotWindow) -> torch.Tensor:
        self.windows.append(window)
        return super().__call__(shared, window)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with one folder per speaker")
    parser.add_argument("--mixtures", type=int, default=6, help="conversations")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--windows", type=float, nargs="+", default=[0.5, 1.0], help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], help="trained models, in their own order")
    options = parser.parse_args()
    torch.set_num_threads(1)
    talks = Conversations(
        options.data, seconds=60 * options.minutes, size=options.mixtures, seed=options.seed, fixed=True
    )
    print(f"{len(talks)} conversations of {options.minutes:g} min, two speakers, seed {options.seed}\n")
    print("| window | rule | right joins | right speaker | swaps/min | returns after 5 s: right | wrong per min |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for window in options.windows:
        found: dict[str, list[Identity]] = {name: [] for name in RULES}
        for number in range(len(talks)):
            for name, met in measure(talks.conversation(number), window, options.seed + number).items():
                found[name].append(met)
        for name, each in found.items():
            row(f"ideal, {window:g} s", name, each, options.minutes)
    for name in options.model:
        rows = model_rows(from_pretrained(name), joinings=["adjacent-given", "adjacent", "given", "blind"])
        results = list(evaluate_long(rows, talks))
        for joining in dict.fromkeys(result.labels["joining"] for result in results):
            mine = [result.values for result in results if result.labels["joining"] == joining]
            means = {key: Mean.of(values[key] for values in mine).mean for key in mine[0]}
            wrong = means["returns"] * (1 - means["right_returns"]) / options.minutes
            cells = f"{means['right_joins']:.1%} | {means['right_windows']:.1%} | {means['swaps_per_minute']:.2f}"
            print(f"| {Path(name).parent.name} | {joining} | {cells} | {means['right_returns']:.1%} | {wrong:.2f} |")


def measure(talk: Conversation, window: float, seed: int) -> dict[str, Identity]:
    """Join the windows of one conversation by all rules."""
    sources = talk.sources()[:, 0]
    found = {}
    for overlap in dict.fromkeys(share for share, _ in RULES.values()):
        shuffle = torch.Generator().manual_seed(seed)
        model = oracle(sources[None, :, None], Spec("stft"), window, Spec("wiener"), shuffle)
        separator = Separator(model, overlap=overlap, consistent=False)
        assert isinstance(model.decoder, Truth)
        model.decoder.rewind(separator.framing)
        recorder = Recorder()
        stream = separator.open(talk.sample_rate, recorder)
        for mixture, _ in talk.blocks():
            stream.push(mixture[None])
        stream.finish()
        framing = separator.framing
        for name, (share, rule) in RULES.items():
            if share == overlap:
                joined = join(recorder.windows, framing.window, framing.hop, framing.at_once, rule())
                meter = IdentityMeter(talk.sample_rate, pause=PAUSE)
                end = min(joined.shape[1] - framing.lead, sources.shape[1])
                meter.update(joined[:, framing.lead : framing.lead + end], sources[:, :end])
                found[name] = meter.compute()
    return found


def join(windows: Sequence[SlotWindow], window: int, hop: int, at_once: int, rule: JoiningRule) -> torch.Tensor:
    joiner, pieces = Joiner(window, hop, rule), []
    for start in range(0, len(windows), at_once):
        joiner.foresee(windows[start : start + at_once])
        pieces += [joiner.push(each)[0] for each in windows[start : start + at_once]]
    return torch.cat([*pieces, joiner.finish()], dim=-1)[0, :, 0]


def row(window: str, name: str, found: Sequence[Identity], minutes: float) -> None:
    def mean(of: Callable[[Identity], float]) -> float:
        return Mean.of(map(of, found)).mean

    wrong = sum(each.returns * (1 - each.right_returns) for each in found if each.returns) / (minutes * len(found))
    print(
        f"| {window} | {name} | {mean(lambda f: f.right_joins):.1%} | {mean(lambda f: f.right_windows):.1%} | "
        f"{mean(lambda f: f.swaps_per_minute):.2f} | {mean(lambda f: f.right_returns):.1%} | {wrong:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - began:.0f} s")
