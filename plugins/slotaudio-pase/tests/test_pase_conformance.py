"""The shipped suite: frontend, encoders and objective must pass what the built-in ones pass."""

from slotaudio import Spec
from slotaudio.testing import EncoderConformance, FrontendConformance, ObjectiveConformance
from slotaudio.testing.objectives import SMALL_MODEL


class TestSincFrontend(FrontendConformance):
    component = "sinc"
    options = {"filters": 5, "width": 31}
    longest = 300
    inverse_tolerance = None  # what no filter passes is lost; see test_sinc.py
    compiles = exports = True


class TestSincFrontendStrided(FrontendConformance):
    component = "sinc"
    options = {"filters": 4, "width": 21, "stride": 4}
    longest = 300
    inverse_tolerance = None


class TestPase(EncoderConformance):
    component = "pase"
    options = {"width": 4, "dim": 6}
    freq = 1
    frames = (480, 1300)
    bfloat16_tolerance = 0.5  # a 16-bit wave goes through eight layers without a transform in front
    compiles = exports = True


class TestPasePlus(EncoderConformance):
    component = "pase_plus"
    options = {"width": 4, "dim": 6, "hidden": 8}
    freq = 1
    frames = (480, 1300)
    bfloat16_tolerance = 0.5
    compiles = exports = True


class TestPaseWorkers(ObjectiveConformance):
    component = "pase"
    options = {"in_dim": 6, "hidden": 8, "chunk": 0.5}
    model = {
        "frontend": "waveform",
        "encoder": Spec("pase", width=4, dim=6),
        "bottleneck": None,
        "decoder": None,
    }
    samples = 9600
    trained = ("encoder",)
    perfect = None  # it looks at no estimates

    def build(self, **changes):
        """In evaluation the chunks are always the same ones."""
        return super().build(**changes).eval()


class TestSlotWorkers(ObjectiveConformance):
    component = "slot_workers"
    options = {"slot_dim": 8, "hidden": 8, "workers": ("mfcc", "prosody", "lim", "gim")}
    model = {**SMALL_MODEL, "window": 0.1}
    samples = 6400
    mean_over_items = False  # slots of sources that cannot be heard are left out of the means
    perfect = None  # the workers read slots

    def build(self, **changes):
        """In evaluation the times compared are always the same ones."""
        return super().build(**changes).eval()
