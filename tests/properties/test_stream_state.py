"""A stream saved in the middle goes on as if nothing had happened, and only where it belongs."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from slotaudio import Separator, Spec, compose
from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.separation import state
from slotaudio.separation.joining import AsGiven
from slotaudio.separation.state import fingerprint


def model(bottleneck: str = "carry_over", seed: int = 0) -> SlotModel:
    torch.manual_seed(seed)
    spec = {
        "carry_over": Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8), heads=2),
        "slot_attention": Spec("slot_attention", slot_dim=8, initial="gaussian"),
    }[bottleneck]
    return compose(
        encoder=Spec("resnet", depth=18, width=2),
        bottleneck=spec,
        decoder=Spec("spatial_broadcast", hidden=8, layers=1),
        window=0.125,
    )


def wave(seconds: float = 2.0, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, round(16000 * seconds), generator=torch.Generator().manual_seed(seed))


@given(
    cut=st.integers(0, 32000),
    bottleneck=st.sampled_from(["carry_over", "slot_attention"]),
    rate=st.sampled_from([16000, 22050]),
    options=st.sampled_from([{}, {"overlap": 0.0}, {"consistent": False, "level": None}, {"joining": "given"}]),
)
@settings(max_examples=10)
def test_saved_and_restored_equals_uninterrupted(tmp_path_factory, cut, bottleneck, rate, options):
    path = tmp_path_factory.mktemp("state") / "talk.state"
    separator, mixture = Separator(model(bottleneck), **options), wave()
    whole = separator.open(rate)
    expected = [whole.push(mixture[..., :cut]), whole.push(mixture[..., cut:]), whole.finish()]
    first = separator.open(rate)
    pieces = [first.push(mixture[..., :cut])]
    first.save(path)
    second = Separator(model(bottleneck), **options).open(rate)
    second.restore(path)
    pieces += [second.push(mixture[..., cut:]), second.finish()]
    assert second.received == mixture.shape[-1]
    assert torch.equal(torch.cat(pieces, dim=-1), torch.cat(expected, dim=-1))


@pytest.mark.parametrize("cut", [0, 5 * 16000 + 7, 11 * 16000])
def test_turns_are_followed_across_the_cut(tmp_path, cut):
    torch.manual_seed(0)
    any_length = compose(
        frontend=Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        encoder=Spec("band_split", dim=8, hidden=8, blocks=1),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=8, mlp_dim=8),
        decoder=Spec("mask", hidden=8, blocks=1),
        slots=2,
        window=None,
    )
    separator, mixture = Separator(any_length, long_window=1.0, ahead=1.0), wave(15.0)
    whole, first, second = (separator.open(16000) for _ in range(3))
    assert whole.latency > separator.framing.window / 16000  # turns are followed
    expected = [whole.push(mixture[..., :cut]), whole.push(mixture[..., cut:]), whole.finish()]
    pieces = [first.push(mixture[..., :cut])]
    first.save(tmp_path / "talk.state")
    second.restore(tmp_path / "talk.state")
    pieces += [second.push(mixture[..., cut:]), second.finish()]
    assert torch.equal(torch.cat(pieces, dim=-1), torch.cat(expected, dim=-1))
    with pytest.raises(UserError, match="another turns"):
        separator.open(16000, follow=False).restore(tmp_path / "talk.state")


def test_restored_in_another_process(tmp_path):
    separator, mixture = Separator(model()), wave()
    stream = separator.open(16000)
    stream.push(mixture[..., :20000])
    stream.save(tmp_path / "talk.state")
    expected = stream.push(mixture[..., 20000:])
    program = f"""
import sys, torch
sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from test_stream_state import Separator, model, wave
torch.set_num_threads(1)
stream = Separator(model()).open(16000)
stream.restore({str(tmp_path / "talk.state")!r})
torch.save(stream.push(wave()[..., 20000:]), {str(tmp_path / "rest.pt")!r})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    torch.testing.assert_close(torch.load(tmp_path / "rest.pt"), expected)


def test_it_is_small_however_long_the_recording(tmp_path):
    sizes = []
    for seconds in (4.0, 20.0):
        stream = Separator(model()).open(16000)
        stream.push(wave(seconds))
        stream.save(tmp_path / "talk.state")
        sizes.append((tmp_path / "talk.state").stat().st_size)
    assert sizes[1] < 1.5 * sizes[0] < 2_000_000


def test_errors_say_what_differs(tmp_path):
    path = tmp_path / "talk.state"
    stream = Separator(model()).open(16000)
    stream.push(wave())
    stream.save(path)
    for separator, rate, message in [
        (Separator(model(seed=1)), 16000, "another model"),
        (Separator(model()), 8000, "another sample rate"),
        (Separator(model(), overlap=0.25), 16000, "another framing"),
        (Separator(model(), mask="binary"), 16000, "another mask"),
        (Separator(model(), consistent=False), 16000, "another consistency"),
        (Separator(model(), level=None), 16000, "another level"),
    ]:
        with pytest.raises(UserError, match=message):
            separator.open(rate).restore(path)
    with pytest.raises(UserError, match="another joining"):
        Separator(model()).open(16000, AsGiven()).restore(path)


def test_what_is_no_state_is_refused(tmp_path):
    stream = Separator(model()).open(16000)
    (tmp_path / "text").write_text("no state")
    save_file({"a": torch.zeros(1)}, tmp_path / "tensors")
    for name in ("text", "tensors", "missing"):
        with pytest.raises(UserError, match="not the state of a stream"):
            stream.restore(tmp_path / name)
    with pytest.raises(UserError, match="cannot be saved"):
        stream.save(tmp_path / "no" / "folder")


def test_rules_of_others_are_saved_or_refused(tmp_path):
    class Counting(AsGiven):
        def __init__(self):
            self.windows = 0

        def __call__(self, shared, window):
            self.windows += 1
            return super().__call__(shared, window)

    class Remembering(AsGiven):
        def __init__(self, levels):
            self.levels = tuple(map(torch.tensor, levels))

    class Hoarding(AsGiven):
        def __init__(self):
            self.seen = []

    separator = Separator(model(), ahead=0.0)
    stream = separator.open(16000, Counting())
    stream.push(wave(3.0))
    stream.save(tmp_path / "talk.state")
    rule = Counting()
    separator.open(16000, rule).restore(tmp_path / "talk.state")
    assert rule.windows == stream._joiner.rule.windows > 0
    separator.open(16000, Remembering(range(12))).save(tmp_path / "levels.state")
    rule = Remembering(range(12))
    separator.open(16000, rule).restore(tmp_path / "levels.state")
    assert torch.stack(rule.levels).tolist() == list(range(12))
    with pytest.raises(UserError, match=r"Hoarding\.seen is a list"):
        separator.open(16000, Hoarding()).save(tmp_path / "other.state")


def test_fingerprints_tell_models_apart():
    assert fingerprint(model()) == fingerprint(model())
    assert fingerprint(model()) != fingerprint(model(seed=1))
    changed = model()
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(changed) != fingerprint(model())


def apart(made: SlotModel) -> SlotModel:
    """Make the slots of an untrained model differ: they share everything equally."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return made


def test_slots_are_carried_over_however_many_windows_go_at_once():
    made = apart(model())
    one, many = (Separator(made, joining="given", windows_at_once=n)(wave()[0, 0]).sources for n in (1, 16))
    torch.testing.assert_close(one, many, rtol=0, atol=1e-5)
    made.bottleneck.predictor = torch.nn.Identity()
    fresh = Separator(made, joining="given")(wave()[0, 0]).sources
    assert (fresh - many).abs().max() > 1e-4  # or this would be no test


@pytest.mark.parametrize("bottleneck", ["carry_over", "slot_attention"])
@pytest.mark.parametrize("joining", ["given", "overlap"])
def test_state_is_saved_after_windows_were_heard(tmp_path, bottleneck, joining):
    separator = Separator(apart(model(bottleneck)), joining, ahead=0.0, windows_at_once=1)
    whole, first, second = (separator.open(16000) for _ in range(3))
    blocks = wave().split(17000, dim=-1)
    expected = [*map(whole.push, blocks), whole.finish()]
    pieces = [first.push(blocks[0])]
    assert first._windows > 5  # or there is nothing to remember
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    pieces += [second.push(blocks[1]), second.finish()]
    assert torch.equal(torch.cat(pieces, -1), torch.cat(expected, -1))


def test_slots_that_start_from_noise_are_the_same_however_many_windows_go_at_once():
    made = apart(model("slot_attention"))
    one, some, many = (Separator(made, joining="given", windows_at_once=n)(wave()[0, 0]).sources for n in (1, 5, 16))
    torch.testing.assert_close(one, many, rtol=0, atol=1e-5)
    torch.testing.assert_close(some, many, rtol=0, atol=1e-5)


def test_what_is_finished_takes_no_more(tmp_path):
    separator = Separator(model())
    stream, restored = separator.open(16000), separator.open(16000)
    with pytest.raises(UserError, match="got no block yet"):
        stream.finish()
    stream.push(wave())
    stream.finish()
    stream.save(tmp_path / "talk.state")
    restored.restore(tmp_path / "talk.state")
    for over in (stream, restored):
        with pytest.raises(UserError, match="this stream is finished: open another one"):
            over.push(wave())
        with pytest.raises(UserError, match="this stream is finished"):
            over.finish()


def test_the_seed_decides_slots_that_start_from_noise():
    made = apart(model("slot_attention"))
    found = [Separator(made, seed=seed)(wave()[0, 0]).sources for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_state_is_replaced_at_once(tmp_path, monkeypatch):
    stream = Separator(model()).open(16000)
    stream.push(wave(0.01))
    stream.save(tmp_path / "state")
    before, save = (tmp_path / "state").read_bytes(), state.save_file

    def full(tensors, path, **options):
        save(tensors, path, **options)
        raise OSError(28, "No space left on device")

    stream.push(wave(0.02))
    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(UserError, match="cannot be saved"):
        stream.save(tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == before
