"""The suite catches: every planted defect fails the check that is named after the broken contract."""

import pickle
from collections import Counter

import pytest
from defects import (
    Defect,
    bottlenecks,
    bottlenecks_in_time,
    datasets,
    deaf,
    decoders,
    embedders,
    encoders,
    epochs_of_datasets,
    frontends,
    in_training,
    matchers,
    numbers_of_stages,
    objectives,
    permitted,
    state_of_stages,
)
from hypothesis.errors import Flaky

from slotaudio.testing import CONFORMANCE, BrokenContract, ComponentConformance

PLANTED = (
    *(frontends, encoders, bottlenecks, decoders, matchers, objectives, datasets, embedders),
    *(bottlenecks_in_time, epochs_of_datasets, numbers_of_stages, state_of_stages, in_training, deaf),
)
BREAKS = (AssertionError, RuntimeError, ValueError, TypeError, AttributeError, pickle.PicklingError, Flaky)
DEFECTS = [defect for module in PLANTED for defect in module.DEFECTS]


class TestHealthyFrontend(CONFORMANCE["frontend"]):
    component = frontends.HealthyFrontend


class TestHealthyEncoder(CONFORMANCE["encoder"]):
    component = encoders.HealthyEncoder


class TestFrozenBackbone(CONFORMANCE["encoder"]):
    component = permitted.FrozenBackbone


class TestFrozenThroughout(CONFORMANCE["encoder"]):
    component = permitted.FrozenThroughout


class TestCountsInBuffers(CONFORMANCE["encoder"]):
    component = permitted.CountsInBuffers


class TestHealthyBottleneck(CONFORMANCE["bottleneck"]):
    component = bottlenecks.HealthyBottleneck
    attention_over = "slots"


class TestHealthyDecoder(CONFORMANCE["decoder"]):
    component = decoders.HealthyDecoder


class TestHealthyMatcher(CONFORMANCE["matcher"]):
    component = matchers.HealthyMatcher


class TestHealthyObjective(CONFORMANCE["objective"]):
    component = objectives.HealthyObjective


class TestHealthyDataset(CONFORMANCE["dataset"]):
    component = datasets.HealthyDataset


class TestHealthyStream(CONFORMANCE["dataset"]):
    component = epochs_of_datasets.HealthyStream


class TestHealthyEmbedder(CONFORMANCE["embedder"]):
    component = embedders.HealthyEmbedder


def suite(defect: Defect) -> ComponentConformance:
    return type("Suite", (CONFORMANCE[defect.family],), {"component": defect.component, **defect.attributes})()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.name}-{defect.caught_by}")
def test_the_defect_is_caught_by_the_named_check(defect):
    checks = suite(defect)
    with pytest.raises(BREAKS) as caught:
        getattr(checks, defect.caught_by)()
    if isinstance(caught.value, BrokenContract):
        assert f"{defect.family} {defect.component.__name__!r} " in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"option": {"width": 4}}, "did you mean 'options'"),
        ({"unusd": ("norm.*",)}, "did you mean 'unused'"),
        ({"input": lambda self, seed, **sizes: ()}, "did you mean 'inputs'"),
        ({"reference": 3}, "one of your own begins with an underscore: _reference"),
    ],
)
def test_misspelt_attributes_are_refused(attributes, message):
    with pytest.raises(TypeError, match=message):
        type("TestMine", (CONFORMANCE["encoder"],), {"component": encoders.HealthyEncoder, **attributes})


def test_what_a_suite_adds_for_itself_is_taken():
    class TestMine(CONFORMANCE["encoder"]):
        component = encoders.HealthyEncoder
        pytestmark = ()
        _rate = 8000
        REFERENCE = 3
        declared: int = 4

        def spectrum_of_a_chirp(self):
            return self._rate


def test_all_that_an_import_changes_is_named():
    checks = suite(Defect("encoder", encoders.Careless, "test_importing_it_changes_nothing"))
    with pytest.raises(BrokenContract) as caught:
        checks.test_importing_it_changes_nothing()
    for call in (
        *("torch.set_default_dtype", "torch.set_num_threads", "torch.manual_seed", "numpy.random.seed"),
        *("random.seed", "warnings.filterwarnings", "print"),
    ):
        assert f" {call} " in str(caught.value)


def test_every_family_has_defects_and_every_check_of_it_catches_one():
    """A check that no defect fails might be one that cannot fail."""
    counts = Counter(defect.family for defect in DEFECTS)
    assert len(DEFECTS) >= 150
    assert set(counts) == set(CONFORMANCE)
    caught = {defect.caught_by for defect in [*DEFECTS, *encoders.UNTRACEABLE]}
    checks = {name for each in CONFORMANCE.values() for name in dir(each) if name.startswith("test_")}
    assert checks - caught == {"test_listing_it_imports_no_torch"}  # that takes an installed package
