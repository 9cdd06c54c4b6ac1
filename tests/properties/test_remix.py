"""Teacher and student: nothing but mixtures is looked at, and the teacher follows as slowly as it is told."""

import pytest
import torch

from slotaudio import Spec, UserError, compose
from slotaudio.objectives.remix import Remix, swapped
from slotaudio.pretrained import save_pretrained
from slotaudio.types import Batch, Estimates


def small(slots=3, width=4, rate=1000):
    torch.manual_seed(0)
    return compose(
        Spec("stft", sample_rate=rate, window=32, hop=10, framing="centred"),
        Spec("resnet", depth=10, width=width),
        Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8),
        Spec("spatial_broadcast", hidden=8, layers=1, waves=[3, 3]),
        slots=slots,
    )


def batch(size=2, seed=0):
    mixture = 0.1 * torch.randn(size, 1, 400, generator=torch.Generator().manual_seed(seed))
    return Batch(mixture, torch.full((size, 2, 1, 400), torch.nan))


def test_sources_swap_recordings():
    names = torch.arange(6).reshape(3, 2, 1, 1).float()  # recording and source
    assert swapped(names)[:, :, 0, 0].tolist() == [[0, 3], [2, 5], [4, 1]]


def test_the_student_learns_what_the_teacher_said():
    model = small()
    objective = Remix(model)
    losses = objective(model, batch())
    losses["loss"].backward()
    assert {"loss", "snr", "silence"} <= set(losses)
    assert torch.isfinite(losses["loss"])  # the sources of the batch, all NaN, are not looked at
    assert any(weight.grad is not None for weight in model.parameters())
    assert all(weight.grad is None for weight in objective.teacher.parameters())


def test_the_teacher_follows_in_training_only():
    model = small()
    objective = Remix(model, ema=0.75)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 4
    before = [weight.clone() for weight in objective.teacher.parameters()]
    model.eval()
    objective(model, batch())
    assert all(map(torch.equal, before, objective.teacher.parameters()))
    model.train()
    objective.train()
    objective(model, batch())
    for old, new in zip(before, objective.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 1)
    assert not objective.teacher.training
    assert "teacher.bottleneck.queries" in objective.state_dict()  # resumed with the student


def test_a_teacher_of_other_weights_must_stand_still(tmp_path):
    save_pretrained(small(slots=4), tmp_path / "teacher")
    with pytest.raises(UserError, match=r"set ema = 1\.0"):
        Remix(small(slots=2), teacher=str(tmp_path / "teacher"))
    objective = Remix(small(slots=2), teacher=str(tmp_path / "teacher"), ema=1.0)
    assert torch.isfinite(objective(small(slots=2), batch())["loss"])


def test_a_teacher_of_another_rate_is_refused(tmp_path):
    save_pretrained(small(rate=2000), tmp_path / "teacher")
    with pytest.raises(UserError, match="the teacher works at 2000 Hz, the student at 1000"):
        Remix(small(), teacher=str(tmp_path / "teacher"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"sources": 4}, "must be 2 to 3"), ({"sources": 1}, "must be 2 to 3"), ({"ema": 1.5}, "must be in 0 to 1")],
)
def test_wrong_options_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint):
        Remix(small(), **options)


def test_the_teacher_has_the_running_statistics_of_the_student():
    model = small()
    objective = Remix(model, ema=0.75)
    for each in (model, objective.teacher):
        each.bottleneck.register_buffer("heard", torch.zeros(()))
    model.bottleneck.heard += 3
    model.train()
    objective(model, batch())
    assert objective.teacher.bottleneck.heard == 3


def test_the_teacher_stays_as_it_separates_best():
    assert not Remix(small()).train().teacher.training


class Shares(torch.nn.Module):
    """Gives each slot a share of the mixture."""

    def forward(self, vectors, features, spectrum):
        shares = torch.tensor([0.1, 0.6, 0.3])[:, None, None, None].to(spectrum.values)
        return Estimates(masks=shares.expand(len(vectors), 3, *spectrum.values.shape[1:]))


def test_the_loudest_outputs_of_the_teacher_are_kept():
    model, mixture = small(), batch().mixture
    model.decoder = Shares()
    kept = Remix(model, sources=2, ema=1.0)._separate(mixture)
    torch.testing.assert_close(kept, torch.stack([0.6 * mixture, 0.3 * mixture], dim=1), rtol=0, atol=1e-3)
