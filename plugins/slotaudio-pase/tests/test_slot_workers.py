"""Workers on matched slots: they read the slot of each source, in whatever order the model gives the slots."""

import pytest
import torch

from slotaudio import UserError, build
from slotaudio.recipe import load_recipe
from slotaudio.types import Batch, Estimates, Features, Prediction, Slots, Spectrum
from slotaudio_pase.slots import SlotWorkers

WINDOW = 1600


def exact(cost):
    return torch.tensor([[0, 1] if c[0, 0] + c[1, 1] < c[0, 1] + c[1, 0] else [1, 0] for c in cost])


class Known:
    """A model that separates perfectly; slots are (source, window), in another order in every second window."""

    window_samples, matcher, sample_rate = WINDOW, staticmethod(exact), 16000

    def __init__(self, sources):
        self.sources_ = sources

    def __call__(self, windows):
        batch, steps = windows.shape[:2]
        source = torch.arange(2.0)[None, None].expand(batch, steps, 2)
        window = torch.arange(float(steps))[None, :, None].expand(batch, steps, 2)
        vectors = torch.stack([source, window], dim=-1)
        vectors = torch.stack([vectors[:, n].flip(1) if n % 2 else vectors[:, n] for n in range(steps)], dim=1)
        nothing = torch.zeros(batch, 1, 1, 1)
        return Prediction(
            Spectrum(nothing, 0),
            Features(nothing, torch.zeros(1, 1)),
            Slots(vectors.requires_grad_()),
            Estimates(waves=nothing[..., None][:, :, 0]),
        )

    def sources(self, prediction, batch):
        windows = self.sources_.unflatten(-1, (-1, WINDOW)).movedim(3, 1)
        return torch.stack([windows[:, n].flip(1) if n % 2 else windows[:, n] for n in range(windows.shape[1])], dim=1)


class Nothing:
    def __call__(self, model, batch):
        model(batch.mixture.unflatten(-1, (-1, WINDOW)).movedim(2, 1))
        return {"loss": torch.zeros(())}


def sources(silent=None):
    waves = torch.randn(2, 2, 1, 4 * WINDOW, generator=torch.Generator().manual_seed(0)) / 10
    if silent is not None:
        waves[0, 0, :, silent * WINDOW : (silent + 1) * WINDOW] = 0
    return waves


def heard_by(worker, waves):
    """The pairs or rows that a worker's network is shown."""
    objective, seen = SlotWorkers(slot_dim=2, workers=(worker,), hidden=4), []
    objective.objective = Nothing()
    objective.heads[worker].network.register_forward_pre_hook(lambda _, shown: seen.append(shown[0][0].T))
    losses = objective(Known(waves), Batch(waves.sum(1), waves))
    assert losses["loss"].item() == pytest.approx(0.1 * losses[worker].item())
    return seen


def test_lim_pairs_slots_of_one_source_and_of_two():
    together, apart = heard_by("lim", sources())
    assert len(together) == len(apart) == 2 * 2 * 4
    assert torch.equal(together[:, 0], together[:, 2])  # the source
    assert bool((together[:, 1] != together[:, 3]).all())  # another window
    assert bool((apart[:, 0] != apart[:, 2]).all())


def test_gim_pairs_the_halves_of_clips():
    together, apart = heard_by("gim", sources())
    assert torch.equal(together[:, 0], together[:, 2])
    assert bool((apart[:, 0] != apart[:, 2]).all())
    assert torch.equal(together[:, 1], torch.full((4,), 0.5))
    assert torch.equal(together[:, 3], torch.full((4,), 2.5))


def test_who_is_silent_is_in_no_pair_and_in_no_half():
    together, apart = heard_by("lim", sources(silent=1))
    assert len(together) == len(apart) == 2 * 2 * 4 - 3  # as anchor, as the same source and as the other one
    together, _ = heard_by("gim", sources(silent=1))
    assert together[0].tolist() == [0, 0, 0, 2.5]  # of windows 0 and 1 the first


def test_regression_reads_each_source_where_it_can_be_heard():
    assert len(heard_by("mfcc", sources())[0]) == 16
    rows = heard_by("mfcc", sources(silent=1))[0]
    assert len(rows) == 15
    # the slots of windows 0, 2 and 3 of the source that is silent in window 1
    assert torch.equal(rows[:3], torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 3.0]]))


def test_a_recipe_needs_no_sizes():
    recipe = load_recipe("audioslots-small", ['objective={name = "slot_workers", workers = ["mfcc"], hidden = 8}'])
    model = recipe.model()
    objective = recipe.objective(model)
    assert objective.heads["mfcc"].network.layers[0].in_channels == model.bottleneck.slot_dim


def test_what_cannot_be_is_refused():
    waves = sources()[..., :WINDOW]
    objective = SlotWorkers(slot_dim=2, workers=("lim",), hidden=4)
    objective.objective = Nothing()
    with pytest.raises(UserError, match="clips of at least two windows"):
        objective(Known(waves), Batch(waves.sum(1), waves))
    objective.objective = lambda model, batch: {"loss": torch.zeros(())}
    with pytest.raises(UserError, match="does not make the model find the slots"):
        objective(Known(waves), Batch(waves.sum(1), waves))
    for options in ({"workers": ()}, {"weight": -0.1}):
        with pytest.raises(UserError, match="at least one, and 0 or more"):
            SlotWorkers(slot_dim=2, **options)
    with pytest.raises(UserError, match=r"'waveform'.* is not .*'lps', 'mfcc'"):
        build("objective", {"name": "slot_workers", "slot_dim": 2, "workers": ["waveform"]})
