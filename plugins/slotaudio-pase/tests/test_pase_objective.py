"""The objective as a whole: what it draws, what it refuses, that it learns; and the recipes."""

import pytest
import torch

from slotaudio import Spec, UserError, build, compose
from slotaudio.cli import main
from slotaudio.data.batches import collate
from slotaudio.data.bundled import speech
from slotaudio.data.folder import FolderMixtures
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.types import Batch
from slotaudio_pase.objective import PASE, PaseWorkers


def small_model():
    torch.manual_seed(0)
    encoder = Spec("pase", width=4, dim=12)
    return compose(frontend="waveform", encoder=encoder, bottleneck=None, decoder=None, window=None)


def workers(*names, **options):
    torch.manual_seed(1)
    return PaseWorkers(**{"in_dim": 12, "workers": names or PASE, "chunk": 0.6, "hidden": 16, **options})


def bundled(items=2, sources=2):
    data = FolderMixtures(speech("train"), seconds=1.5, sources=sources, size=items)
    return collate([data[index] for index in range(items)])


def test_every_worker_speaks_up():
    losses = workers()(small_model(), bundled())
    assert set(losses) == {"loss", *PASE, "lim_accuracy", "gim_accuracy", "spc_accuracy"}
    assert losses["loss"].item() == pytest.approx(sum(losses[name].item() for name in PASE), rel=1e-5)
    # standardised targets: the mean square of what an ignorant worker misses is about one
    assert 0.5 < losses["lps"] < 2
    assert 0.5 < losses["mfcc"] < 2


def test_every_loss_falls_on_two_mixtures():
    model, objective, batch = small_model(), workers(), bundled()
    objective(model, batch)  # fits the targets' statistics
    objective.eval()  # the same chunks at every step
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], 5e-3)
    history = []
    for _ in range(30):
        losses = objective(model, batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    for name in PASE:
        assert history[-1][name] < 0.98 * history[0][name], name
    for name in ("lim", "gim", "spc"):
        assert history[-1][f"{name}_accuracy"] > 0.6, name


def test_chunks_are_drawn_in_training_and_fixed_in_evaluation():
    model, objective, batch = small_model().eval(), workers("lim", "spc"), bundled()
    torch.manual_seed(0)
    first, second = (objective(model, batch)["loss"].item() for _ in range(2))
    assert first != second
    torch.manual_seed(0)
    assert objective(model, batch)["loss"].item() == first
    objective.eval()
    state = torch.get_rng_state()
    assert objective(model, batch)["loss"].item() == objective(model, batch)["loss"].item()
    assert torch.equal(state, torch.get_rng_state())


def test_gaps_of_spc_stay_within_their_limits():
    objective = workers("spc", chunk=1.0, spc_gap=(0.16, 0.3))
    drawn = [(anchors[0], gap) for anchors, gap in (objective._order(None) for _ in range(300))]
    gaps = {gap for _, gap in drawn}
    assert gaps == set(range(16, 31))
    assert all(anchor - gap - 4 >= 0 and anchor + gap + 5 <= 100 for anchor, gap in drawn)
    anchors = {anchor for anchor, _ in drawn}
    assert min(anchors) < 30
    assert max(anchors) > 70
    assert workers("spc", chunk=1.0).spc_gap == (16, 45)  # the chunk is the only upper limit


def test_the_other_utterance_is_never_the_same():
    class Names:
        """An encoder whose tokens are the utterance's own number."""

        def encode(self, waves):
            numbers = waves.mean(dim=(1, 2)).round()
            return type("Features", (), {"tokens": numbers[:, None, None, None].expand(-1, 1, 60, 12).clone()})

    for shape in ((1, 2), (3, 2), (3, 1), (2, 3)):
        numbers = torch.arange(1.0, 1 + shape[0] * shape[1]).reshape(*shape)
        sources = numbers[..., None, None].expand(*shape, 1, 12000).contiguous()
        objective, seen = workers("gim"), []
        objective.heads["gim"].register_forward_pre_hook(lambda _, pairs, seen=seen: seen.append(pairs))
        objective(Names(), Batch(sources.sum(1), sources))
        together, apart = (pair[..., 0] for pair in seen[0])
        assert torch.equal(together[:, 0], numbers.flatten())
        assert torch.equal(together[:, 0], together[:, 12])
        assert bool((apart[:, 0] != apart[:, 12]).all())


def test_the_plus_options_work():
    objective = workers("lps_long", "fbank", "mfcc", "prosody", deltas=True, context=7)
    losses = objective(small_model(), bundled())
    assert bool(losses["loss"].isfinite())
    assert objective.heads["mfcc"].network.layers[-1].out_channels == 20 * 3 * 7


def test_the_statistics_are_saved_with_the_objective():
    fitted = workers("mfcc")
    fitted(small_model(), bundled())
    fresh = workers("mfcc")
    fresh.load_state_dict(fitted.state_dict())
    assert fresh.heads["mfcc"].standardise.count == 2 * 2 * 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": ["lps", "spectrogram"]}, "'spectrogram'.* is not .*'waveform', 'lps'"),
        ({"workers": ()}, "no worker given"),
        ({"workers": ("spc",), "chunk": 0.3}, "spc can leave gaps of 1 to 10 frames"),
        ({"workers": ("spc",), "spc_gap": (0.3, 0.2)}, "asks for at least 30"),
        ({"workers": ("spc",), "spc_anchors": 0}, "needs at least 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build("objective", {"name": "pase", "in_dim": 12, **options})


def test_batches_that_do_not_fit_are_refused():
    model = small_model()
    with pytest.raises(UserError, match="do not fit into sources of 8000"):
        workers("lps")(model, Batch(torch.zeros(1, 1, 8000), torch.zeros(1, 2, 1, 8000)))
    with pytest.raises(UserError, match="compare two utterances"):
        workers("lim")(model, Batch(torch.zeros(1, 1, 12000), torch.zeros(1, 1, 1, 12000)))
    other = compose(encoder=Spec("resnet", depth=10, width=4), bottleneck=None, decoder=None, window=None)
    with pytest.raises(UserError, match="Choose encoder 'pase'"):
        PaseWorkers(other.encoder.out_dim, workers=("lps",))(other, bundled())


SMALL = [
    "encoder.width=4",
    "objective.chunk=0.5",
    "data.train.seconds=1.0",
    "data.validation.seconds=1.0",
    "objective.hidden=16",
    "data.train.size=4",
    "data.validation.size=2",
    "train.steps=2",
    "train.batch_size=2",
    "train.validate_every=2",
]


@pytest.mark.parametrize("name", ["pase", "pase-plus"])
def test_the_recipes_train_two_steps_on_the_bundled_speech(name, tmp_path, capsys):
    changes = [argument for change in SMALL for argument in ("--set", change)]
    with pytest.raises(SystemExit) as ended:
        main(["train", name, "-o", str(tmp_path / "run"), *changes])
    assert ended.value.code == 0
    assert "best validation/loss" in capsys.readouterr().out
    model = from_pretrained(tmp_path / "run/model")
    wave = torch.randn(1, 1, 16000, generator=torch.Generator().manual_seed(0))
    assert model.encode(wave).tokens.shape[:3] == (1, 1, 100)
    state = torch.load(tmp_path / "run/last.ckpt", weights_only=True)["state_dict"]
    assert any(key.startswith("objective.heads.mfcc.standardise") for key in state)


def test_the_encoder_hears_spoiled_speech_and_the_targets_are_clean():
    model, batch = small_model().eval(), bundled()
    spoiled = workers("mfcc", contamination={"narrow_band": 1.0}, fit_frames=1000)
    clean = workers("mfcc", fit_frames=1000)
    heard = []
    model.encoder.register_forward_pre_hook(lambda _, features: heard.append(features[0]))
    for objective in (spoiled, clean):
        torch.manual_seed(0)
        objective(model, batch)
    first, second = (waves.chunk(2) for waves in heard)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])  # the other chunk of each utterance
    means = [objective.heads["mfcc"].standardise.mean for objective in (spoiled, clean)]
    assert torch.equal(*means)
    assert spoiled.eval()(model, batch)["mfcc"] == clean.eval()(model, batch)["mfcc"]


def test_swaps_show_every_pair_both_ways():
    seen, unswapped = [], []
    objective = workers("lim", "gim", swaps=("gim",))
    objective.heads["gim"].register_forward_pre_hook(lambda _, pairs: seen.append(pairs))
    objective.heads["lim"].register_forward_pre_hook(lambda _, pairs: unswapped.append(pairs))
    objective(small_model(), bundled())
    assert [len(pair) for pair in unswapped[0]] == [4, 4]
    together, apart = (pair[..., 0] for pair in seen[0])
    anchor, same, other = together[:4, :12], together[:4, 12:], apart[:4, 12:]
    assert torch.equal(together[4:], torch.cat([same, anchor], dim=1))
    assert torch.equal(apart[4:], torch.cat([same, other], dim=1))


@pytest.mark.parametrize(("name", "most"), [("pase-small", 850_000), ("pase-plus-small", 1_050_000)])
def test_the_small_recipes_are_small(name, most):
    recipe = load_recipe(name)
    model = recipe.model()
    assert sum(weight.numel() for weight in model.parameters()) < most
    assert set(recipe.objective(model).heads) >= {"waveform", "mfcc", "prosody", "lim", "gim"}
