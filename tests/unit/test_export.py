"""Exported models: what a file computes is what the model computes, and a file that does not is not written."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from slotaudio import SlotaudioError, Spec, UserError, compose, export
from slotaudio.errors import PretrainedError
from slotaudio.exporting import ExportedModel, files, running
from slotaudio.exporting.core import Core
from slotaudio.modelconfig import config_of

# in a process of its own: tracing cannot see through runtime type checks
WORK = """
import json, sys, torch
from slotaudio import Separator, SlotModel, Spec, compose, export
from slotaudio.cli import main
from slotaudio.exporting import ExportedModel
torch.set_num_threads(1)
torch.manual_seed(0)
any_length = compose(
    frontend=Spec("stft", window=256, hop=128, framing="centred", features="complex"),
    encoder=Spec("band_split", dim=8, hidden=4, blocks=1, layout=[[8000.0, 4000.0]]),
    bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
    decoder=Spec("mask", hidden=4, blocks=0, rest=True),
    window=None,
)
for band in any_length.decoder.rest:
    torch.nn.init.normal_(band.bias, 0.3, 0.1)
carrying = compose(
    frontend=Spec("stft", framing="centred"),
    encoder=Spec("resnet", depth=10, width=2),
    bottleneck=Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8, presence=True), heads=2),
    decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
)
any_length.save_pretrained("any_length")
try:
    main(["export", "any_length", "-o", "any_length.onnx"])
except SystemExit as stop:
    assert not stop.code
export(carrying, "carrying.pt2")
for model, path in ((any_length, "any_length.onnx"), (carrying, "carrying.pt2")):
    mixture = 0.1 * torch.randn(1, 20000)
    loaded = SlotModel.from_pretrained(path) if path.endswith("onnx") else ExportedModel(path)
    wanted, found = Separator(model, long_window=0.5)(mixture), Separator(loaded, long_window=0.5)(mixture)
    tensors = loaded.runtime.description["tensors"]
    error = float((wanted.sources - found.sources).abs().max())
    same = float((wanted.presence - found.presence).abs().max())
    print(json.dumps([path, tensors["inputs"], tensors["outputs"], error, same]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    done = subprocess.run([sys.executable, "-c", WORK], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return folder, lines[:-2], {row[0]: row[1:] for row in map(json.loads, lines[-2:])}


def test_separating_with_the_file_is_separating_with_the_model(exported):
    for _, _, error, presence in exported[2].values():
        assert error < 1e-5
        assert presence < 1e-5


def test_time_is_free_where_the_model_takes_any_length_and_batch_always(exported):
    _, said, found = exported
    inputs, outputs, *_ = found["any_length.onnx"]
    assert inputs == {"spectrum": ["batch", 1, 129, "frames", 2]}
    assert outputs["masks"] == ["batch", 2, 1, 129, "frames", 2]
    inputs, outputs, *_ = found["carrying.pt2"]
    assert inputs == {"spectrum": ["batch", 1, 257, 65, 2], "initial": ["batch", 2, 8]}
    assert list(outputs) == ["masks", "vectors", "presence", "carried"]
    assert said[0].startswith("any_length.onnx: ")
    assert "agrees with the model to 1" in said[0]  # hundred and some dB
    assert said[1].split() == ["in", "spectrum", "batch", "x", "1", "x", "129", "x", "frames", "x", "2"]


def test_nothing_else_is_left_in_the_folder(exported):
    assert {path.name for path in exported[0].iterdir()} == {"any_length", "any_length.onnx", "carrying.pt2"}


def test_onnxruntime_alone_finds_names_and_free_axes(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported[0] / "any_length.onnx", providers=["CPUExecutionProvider"])
    assert [(node.name, node.shape) for node in session.get_inputs()] == [("spectrum", ["batch", 1, 129, "frames", 2])]
    (masks, vectors) = session.run(None, {"spectrum": torch.randn(3, 1, 129, 40, 2).numpy()})
    assert masks.shape == (3, 2, 1, 129, 40, 2)
    assert vectors.shape == (3, 1, 2, 8)
    missing = 1 - torch.tensor(masks).sum(1)[..., 0]  # the rest, which nothing but a bias gives here
    torch.testing.assert_close(missing, missing[:1, :, :, :1].expand_as(missing))
    assert missing.mean() == pytest.approx(0.3, abs=0.05)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return compose(
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )


def test_a_program_of_batch_one_gets_one_window_at_a_time(small, tmp_path, monkeypatch):
    core, sizes = Core(small), []

    class Runtime:
        description = config_of(small) | {
            "tensors": {"inputs": {"spectrum": [1, 1, 256, 64, 2]}, "outputs": dict.fromkeys(core.outputs)},
            "initial": core.start.tolist(),
        }

        def __call__(self, arguments):
            sizes.append(len(arguments[0]))
            return core(*arguments)

    monkeypatch.setattr(running, "load", lambda path: Runtime())
    (tmp_path / "model.pt2").write_text("program")
    loaded = ExportedModel(tmp_path / "model.pt2")
    windows = 0.1 * torch.randn(2, 3, 1, 8000)
    with torch.no_grad():
        wanted, found = small(windows), loaded(windows)
        torch.testing.assert_close(loaded.sources(found, 2), small.sources(wanted, 2))
    torch.testing.assert_close(found.slots.vectors, wanted.slots.vectors)
    assert sizes == [1] * 6


@pytest.mark.parametrize(("error", "written"), [(1e-5, True), (1e-2, False), (float("nan"), False)])
def test_what_disagrees_is_not_written(small, tmp_path, monkeypatch, error, written):
    core = Core(small)
    axes = {"spectrum": ("batch", 1, 256, 64, 2)}, {}
    monkeypatch.setattr(files, "trace", lambda core, arguments: SimpleNamespace())
    monkeypatch.setattr(files, "_axes", lambda program, core: axes)
    monkeypatch.setattr(files, "_write_program", lambda program, path, arguments, about: path.write_text("program"))
    monkeypatch.setattr(files, "load", lambda path: lambda inputs: [(1 + error) * out for out in core(*inputs)])
    target = tmp_path / "model.pt2"
    target.write_text("before")
    if written:
        assert export(small, target, force=True).agreement == pytest.approx(100, abs=1)
    else:
        with pytest.raises(SlotaudioError, match="gives other sources than the model"):
            export(small, target, force=True)
    assert target.read_text() == ("program" if written else "before")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.tflite", r"ends in \.onnx .* or \.pt2"), ("there.pt2", "exists"), ("no/model.pt2", "there is no folder")],
)
def test_where_nothing_can_be_written(small, tmp_path, name, message):
    (tmp_path / "there.pt2").write_text("mine")
    with pytest.raises(UserError, match=message):
        export(small, tmp_path / name)
    assert (tmp_path / "there.pt2").read_text() == "mine"


def test_a_model_without_decoder_and_files_that_are_no_exports(tmp_path):
    with pytest.raises(UserError, match="only encodes"):
        export(compose(encoder=Spec("resnet", depth=10, width=2), bottleneck=None, decoder=None), tmp_path / "m.pt2")
    (tmp_path / "text.onnx").write_text("Dear all")
    for name, message in (("text.onnx", "cannot be loaded"), ("no.pt2", "no file"), ("a.wav", r"ends in \.onnx")):
        with pytest.raises((PretrainedError, UserError), match=message):
            ExportedModel(tmp_path / name)


def test_missing_packages_are_named(small, tmp_path, monkeypatch):
    found = files.importlib.util.find_spec
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(UserError, match=r'ONNX needs onnxscript: pip install "slotaudio\[export\]"'):
        export(small, tmp_path / "model.onnx")
