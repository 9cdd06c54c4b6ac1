"""The shipped suite: `evidence` must pass what the built-in bottlenecks pass."""

from slotaudio.testing import BottleneckConformance


class TestEvidence(BottleneckConformance):
    component = "evidence"
    options = {"slot_dim": 8, "presence": True}
    attention_over = "tokens"
    compiles = exports = True


class TestWithoutDepletion(BottleneckConformance):
    component = "evidence"
    options = {"slot_dim": 8, "depletion": 0.0, "positions": False}
    attention_over = "tokens"
