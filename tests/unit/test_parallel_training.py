"""Two processes on the CPU (gloo) train what one process trains: gradients, data, validation, resuming."""

import json
import multiprocessing
import os
import socket
import traceback
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from slotaudio.data.synthetic import SyntheticMixtures
from slotaudio.errors import UserError
from slotaudio.objectives.supervised import Supervised
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.registry import datasets, objectives
from slotaudio.training.data import Batches
from slotaudio.training.options import TrainOptions
from slotaudio.training.processes import Share, blocks, layout
from slotaudio.training.run import train

RECIPE = """
model.window = 0.125
encoder = {name = "resnet", depth = 10, width = 2}
bottleneck = {name = "transformer", slot_dim = 8, layers = 1, heads = 2, qkv_dim = 8, mlp_dim = 8}
decoder = {name = "spatial_broadcast", hidden = 8, layers = 1, patch = [8, 8]}

[data.train]
name = "noted"
size = 20

[data.validation]
name = "noted"
size = 3
seconds = 0.25
seed = 5

[objective]
name = "idle"
unused = 1

[train]
steps = 4
batch_size = 4
warmup_steps = 1
learning_rate = 1e-3
schedule = "constant"
betas = [0.0, 0.999]  # the first moment is the gradient
gradient_clip = 0.0
validate_every = 2
checkpoint_every = 2
"""


class Noted(Dataset):
    """Synthetic mixtures that write down who asked for which."""

    def __init__(self, size: int, seconds: float, seed: int = 0, rate: int = 16000):
        self.mixtures = SyntheticMixtures(size=size, seconds=seconds, seed=seed, rate=rate)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.mixtures)

    def __getitem__(self, index):
        with open(f"seen-{self.seed}-{os.environ.get('RANK', '0')}", "a") as file:
            print(self.epoch, index, file=file)
        return self.mixtures[index]


class Idle(torch.nn.Module):
    """The supervised objective, with weights that nothing depends on."""

    def __init__(self, unused: int):
        super().__init__()
        self.supervised = Supervised()
        self.unused = torch.nn.ParameterList(torch.zeros(3) for _ in range(unused))

    def forward(self, model, batch):
        return self.supervised(model, batch)


def main(rank, processes, port, folder, overrides, options):
    """Be one of several processes, as `torchrun` starts them."""
    os.chdir(folder)
    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RUN_ID": "test",
            "TORCHELASTIC_MAX_RESTARTS": "0",
        }
    datasets.register("noted")(Noted)
    objectives.register("idle")(Idle)
    try:
        done = train(load_recipe("tiny.toml", overrides), "run", **options)
        outcome = {"step": done.step, "score": done.score, "stopped": done.stopped_by}
    except Exception as error:
        outcome = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    Path(f"outcome-{rank}.json").write_text(json.dumps(outcome))


@pytest.fixture(scope="module")
def launch():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["slotaudio.training.run", "slotaudio.data.synthetic"])

    def start(folder, processes, *overrides, **options):
        folder.mkdir(exist_ok=True)
        (folder / "tiny.toml").write_text(RECIPE)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = [(rank, processes, port, folder, overrides, options) for rank in range(processes)]
        running = [context.Process(target=main, args=each) for each in arguments]
        for process in running:
            process.start()
        for process in running:
            process.join(240)
            assert process.exitcode == 0
        return [json.loads((folder / f"outcome-{rank}.json").read_text()) for rank in range(processes)]

    return start


def seen(folder, seed, processes=1):
    return [(folder / f"seen-{seed}-{rank}").read_text().splitlines() for rank in range(processes)]


def learnt(folder):
    """The last gradient, the mean of all squared ones, and the weights."""
    checkpoint = torch.load(folder / "run/last.ckpt", weights_only=True)
    states = checkpoint["optimizer_states"][0]["state"]
    found = {(number, name): state[name] for number, state in states.items() for name in ("exp_avg", "exp_avg_sq")}
    weights = checkpoint["state_dict"]
    # what keys add to all scores alike changes nothing: their gradient is rounding, of which Adam makes steps
    return found | {name: weights[name] for name in weights if name.startswith("model.") and "to_keys.bias" not in name}


def the_same(first, second):
    first, second = learnt(first), learnt(second)
    assert first.keys() == second.keys()
    assert max(float(value.abs().max()) for name, value in first.items() if "exp_avg" in name) > 0.01
    for number, value in first.items():
        torch.testing.assert_close(second[number], value, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def one(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "work"
    return folder, launch(folder, 1)


def test_two_processes_train_what_one_trains(launch, one, tmp_path):
    folder, [alone] = one
    outcomes = launch(tmp_path / "work", 2)
    assert all(outcome == pytest.approx(alone, abs=1e-4) for outcome in outcomes)
    the_same(folder, tmp_path / "work")

    # no mixture twice, none left out, apart from those taken at the start: to see whether all fits, and, of several
    # processes, whether all weights are used
    [all_drawn], parts = seen(folder, 0), seen(tmp_path / "work", 0, 2)
    assert sorted(all_drawn[1:]) == sorted(parts[0][2:] + parts[1][2:])
    assert len(set(all_drawn[1:])) == 16
    checked = [line.split()[1] for part in seen(tmp_path / "work", 5, 2) for line in part[1:]]
    assert sorted(checked) == sorted(["0", "2", "1", "0"] * 2)  # the last repeats the first and does not count


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(launch, one, tmp_path, before, after):
    folder, [alone] = one
    launch(tmp_path / "work", before, "train.steps=2")
    outcomes = launch(tmp_path / "work", after, resume=True)
    assert all(outcome == pytest.approx(alone, abs=1e-4) for outcome in outcomes)
    the_same(folder, tmp_path / "work")


def test_shards_of_the_weights_train_what_one_process_trains(launch, one, tmp_path):
    folder, [alone] = one
    fsdp = ("train.strategy=fsdp", "objective.unused=0")
    launch(tmp_path / "work", 2, *fsdp, "train.steps=2")
    outcomes = launch(tmp_path / "work", 2, *fsdp, resume=True)
    assert all(outcome == pytest.approx(alone, abs=1e-4) for outcome in outcomes)
    the_same(folder, tmp_path / "work")
    assert from_pretrained(tmp_path / "work/run/model").slots == 2


@pytest.mark.parametrize("kind", ["map", "iterable"])
@pytest.mark.parametrize("processes", [2, 3])
def test_parts_of_batches_are_disjoint_and_complete(kind, processes):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            mixtures = SyntheticMixtures(size=15, seconds=0.01)
            return (mixtures[index] for index in range(len(mixtures)))

    def names(process, count):
        dataset = SyntheticMixtures(size=15, seconds=0.01) if kind == "map" else Stream()
        batches = Batches(dataset, 6, start=1, stop=5, seed=3)
        batches.share(process, count)
        return [[item["id"] for item in batch.metadata] for batch in batches]

    whole = names(0, 1)
    parts = [names(process, processes) for process in range(processes)]
    assert [list(chain(*together)) for together in zip(*parts, strict=True)] == whole


def test_every_validation_item_belongs_to_one_process():
    items = [Share(range(7), process, 3) for process in range(3)]
    assert [len(share) for share in items] == [3, 3, 3]
    assert [list(share) for share in items] == [[0, 3, 6], [1, 4, 0], [2, 5, 1]]


def test_processes_that_cannot_be_are_refused(monkeypatch):
    with pytest.raises(UserError, match=r"train\.batch_size = 64 cannot be shared evenly by 3 processes"):
        layout(TrainOptions(devices=3, device="cpu"))
    assert layout(TrainOptions(devices=2, nodes=4, device="cpu")) == (2, 4)
    launcher = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "5", "LOCAL_RANK": "1"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    assert layout(TrainOptions(device="cpu")) == (4, 2)
    with pytest.raises(UserError, match="but 4 processes on each of 2 machines were started"):
        layout(TrainOptions(devices=2, device="cpu"))


def test_large_repeated_blocks_are_sharded_alone():
    layer = torch.nn.Sequential(torch.nn.Linear(10, 10))
    model = torch.nn.Sequential(torch.nn.ModuleList([layer, torch.nn.Linear(2, 2)]), torch.nn.Linear(50, 50))
    assert list(blocks(model, least=100)) == [layer]


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ([], r"needs a gradient for every weight, and the loss leaves out objective\.unused\.0: compose"),
        (["objective.unused=0", "train.ema=0.9"], r"set train\.ema = 0\.0"),
    ],
)
def test_what_cannot_be_sharded_is_refused(tmp_path, overrides, complaint):
    (tmp_path / "tiny.toml").write_text(RECIPE.replace('"noted"', '"synthetic"'))
    objectives.register("idle")(Idle)
    with pytest.raises(UserError, match=complaint):
        train(load_recipe(tmp_path / "tiny.toml", ["train.strategy=fsdp", *overrides]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
