"""Naming speakers beside another objective: the slot that holds a source learns whose voice that is."""

import pytest
import torch

from slotaudio import UserError, build, compose
from slotaudio.data.bundled import speech
from slotaudio.data.conversations import Conversations
from slotaudio.objectives.speaker_labels import SpeakerLabels
from slotaudio.testing.objectives import SMALL_MODEL
from slotaudio.types import Batch, Estimates, Features, Prediction, Slots, Spectrum

WINDOW = 1600
EXACT = build("matcher", "exhaustive")


class Known:
    """Separates perfectly, in another order in every second window; a slot's vector says what source it holds."""

    window_samples, matcher, sample_rate = WINDOW, staticmethod(EXACT), 16000

    def __init__(self, sources, carried=False):
        self.windows, self.carried = sources.unflatten(-1, (-1, WINDOW)).movedim(3, 1), carried

    def __call__(self, windows):
        vectors = torch.eye(2)[None, None].repeat(*windows.shape[:2], 1, 1)
        vectors[:, 1::2] = vectors[:, 1::2].flip(2)
        nothing = torch.zeros(len(windows), 1, 1, 1)
        slots = Slots(vectors.requires_grad_(), carried=torch.zeros(len(windows), 2, 2) if self.carried else None)
        features = Features(nothing, torch.zeros(1, 1))
        return Prediction(Spectrum(nothing, 0), features, slots, Estimates(waves=nothing))

    def sources(self, prediction, batch):
        waves = self.windows.clone()
        waves[:, 1::2] = waves[:, 1::2].flip(2)
        return waves


def looks(model, batch):
    """An objective that asks for the slots and for nothing else."""
    model(batch.mixture.unflatten(-1, (-1, WINDOW)).movedim(2, 1))
    return {"loss": torch.zeros(())}


def batch_of(speakers=("ann", "bob"), windows=4, silent=False):
    waves = torch.randn(2, 2, 1, windows * WINDOW, generator=torch.Generator().manual_seed(0)) / 10
    if silent:
        waves[0, 0, :, :WINDOW] = 0
        waves[:, 1] = 0
    return Batch(waves.sum(1), waves, ({"speakers": speakers},) * 2)


def named(batch, **options):
    """Return what the classifier is shown and what it shall answer."""
    objective, seen = SpeakerLabels(slot_dim=2, classes=64), []
    objective.objective = looks
    objective.classifier.register_forward_pre_hook(lambda _, shown: seen.append(shown[0].detach()))
    losses = objective(Known(batch.sources, **options), batch)
    return losses, seen[0]


def test_each_source_is_asked_of_the_slot_that_holds_it():
    losses, shown = named(batch_of())
    shown = shown.view(2, 2, 4, 2)  # batch, sources, windows, dim
    assert torch.equal(shown[:, 0], torch.tensor([1.0, 0.0]).expand(2, 4, 2))
    assert torch.equal(shown[:, 1], torch.tensor([0.0, 1.0]).expand(2, 4, 2))
    assert losses["loss"].item() == pytest.approx(0.5 * losses["speaker"].item())


def test_carried_slots_keep_their_source_for_the_whole_clip():
    _, shown = named(batch_of(), carried=True)
    first = shown.view(2, 2, 4, 2)[:, 0, :, 0]
    assert first.tolist() in ([[1.0, 0.0, 1.0, 0.0]] * 2, [[0.0, 1.0, 0.0, 1.0]] * 2)  # where it was in half the time


def test_the_silent_are_not_named():
    _, shown = named(batch_of(silent=True))
    assert len(shown) == 3 + 4
    losses, shown = named(batch_of(speakers=("", "")))
    assert len(shown) == 0
    assert losses["loss"].item() == 0
    assert losses["speaker_accuracy"].item() == 0


def test_fewer_names_than_sources_leave_the_others_unnamed():
    _, shown = named(batch_of(speakers=("ann",)))
    assert len(shown) == 2 * 4


def test_it_learns_the_names_of_real_voices():
    torch.manual_seed(0)
    model = compose(slots=2, window=0.25, **SMALL_MODEL)
    objective = SpeakerLabels(slot_dim=model.bottleneck.slot_dim, weight=1.0, classes=64)
    talks = Conversations(speech("train"), seconds=1.0, size=4, seed=0)
    mixtures, sources, known = zip(*(talks[n] for n in range(4)), strict=True)
    batch = Batch(torch.stack(mixtures), torch.stack(sources), known)
    optimizer = torch.optim.AdamW([*model.parameters(), *objective.parameters()], 1e-2)
    found = []
    for _ in range(30):
        losses = objective(model, batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append((losses["speaker"].item(), losses["speaker_accuracy"].item()))
    assert found[-1][0] < 0.5 * found[0][0]
    assert found[-1][1] > found[0][1] + 0.2


def test_what_cannot_be_is_refused():
    batch = batch_of()
    objective = SpeakerLabels(slot_dim=2)
    with pytest.raises(UserError, match=r'does not say who speaks; its items need metadata\["speakers"\]'):
        objective(Known(batch.sources), Batch(batch.mixture, batch.sources))
    objective.objective = lambda model, batch: {"loss": torch.zeros(())}
    with pytest.raises(UserError, match="does not make the model find the slots"):
        objective(Known(batch.sources), batch)
    with pytest.raises(UserError, match=r"weight = -1\.0 and classes = 1"):
        SpeakerLabels(slot_dim=2, weight=-1.0, classes=1)
