"""Hooks, registries and `build`: what plug-in authors are promised."""

import inspect
import re
import textwrap
import types

import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

import slotaudio
from slotaudio import Spec, compose, hookimpl, hookspecs
from slotaudio.compose import build
from slotaudio.errors import (
    AmbiguousComponent,
    IncompatibleStages,
    SlotaudioError,
    UnknownComponent,
    UserError,
    WrongOptions,
)
from slotaudio.pluginmanager import BUILTIN, PluginWarning, new_plugin_manager, plugin_manager
from slotaudio.registry import FAMILIES, Registry

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("slotaudio_"))
FAMILY_HOOKS = [f"slotaudio_{family}s" for family in FAMILIES]


def example(hook):
    """Execute the example of a hook's docstring as a plug-in module."""
    documentation = inspect.getdoc(getattr(hookspecs, hook))
    code = textwrap.dedent(documentation.partition("Example::\n")[2])
    module = types.ModuleType("example_of_" + hook)
    exec(code, vars(module))
    return module


@pytest.fixture
def manager():
    return new_plugin_manager(external=False)


@pytest.fixture
def process_wide():
    """The manager that `build` uses, made anew and thrown away afterwards."""
    plugin_manager.cache_clear()
    yield plugin_manager()
    plugin_manager.cache_clear()


def returning(result):
    return lambda: result


def plugin(**hooks):
    """A plug-in whose hooks return the given mappings (or call the given functions)."""
    functions = {}
    for name, result in hooks.items():
        function = result if callable(result) else returning(result)
        function.__name__ = name
        functions[name] = hookimpl(function)
    return types.SimpleNamespace(**functions)


@pytest.mark.parametrize("hook", [*FAMILY_HOOKS, "slotaudio_embedders"])
def test_documented_example_offers_its_component(hook, manager):
    module = example(hook)
    (name,) = getattr(module, hook)()
    manager.register(module, name="mine")
    manager.check()
    registry = Registry(hook.removeprefix("slotaudio_").removesuffix("s"), lambda: manager)
    assert f"mine/{name}" in registry
    assert registry.offer(name).plugin == "mine"
    assert not manager.failures


def test_documented_build_example_freezes_encoders_only(process_wide):
    process_wide.register(example("slotaudio_build"), name="freezer")
    for family in ("encoder", "decoder"):
        process_wide.register(plugin(**{f"slotaudio_{family}s": {"linear": torch.nn.Linear}}), name=f"linear-{family}")
    options = {"in_features": 2, "out_features": 3}
    encoder, decoder = (build(family, Spec("linear", **options)) for family in ("encoder", "decoder"))
    assert not any(p.requires_grad for p in encoder.parameters())
    assert all(p.requires_grad for p in decoder.parameters())


def test_documented_command_example_adds_a_command(manager):
    manager.register(example("slotaudio_commands"), name="greeter")
    app = Typer()
    app.command("bye")(lambda: print("bye"))
    manager.call_each("slotaudio_commands", app=app)
    assert "hello from a plug-in" in CliRunner().invoke(app, ["hello"]).output


def test_every_hook_has_an_example_and_every_family_a_hook():
    others = {"slotaudio_embedders", "slotaudio_recipes", "slotaudio_build", "slotaudio_commands"}
    assert set(FAMILY_HOOKS) | others == set(HOOKS)
    for hook in HOOKS:
        assert hasattr(example(hook), hook)


def test_built_ins_enter_through_the_same_hooks(manager):
    for family in FAMILIES:
        offers = Registry(family, lambda: manager).offers()
        assert offers, family
        assert {offer.plugin for offer in offers} == {"slotaudio"}
        assert all(isinstance(offer.target, str) for offer in offers)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_built_in_can_be_imported(family):
    offers = [offer for offer in FAMILIES[family].offers() if offer.plugin == BUILTIN]
    assert offers
    assert all(callable(offer.load()) for offer in offers)


def test_unknown_name_suggests_lists_and_names_failed_plugins(manager):
    with pytest.warns(PluginWarning):
        manager.fail("broken", ModuleNotFoundError("No module named 'nowhere'"))
    with pytest.raises(UnknownComponent) as caught:
        Registry("encoder", lambda: manager)["resnt"]
    message = str(caught.value)
    assert message.startswith("no encoder named 'resnt'. Did you mean 'resnet'?")
    assert re.search(r"known: .*\bresnet\b", message)
    assert "plug-in 'broken' failed to load: ModuleNotFoundError: No module named 'nowhere'" in message


def test_same_name_twice_is_an_error_at_use_only(manager):
    manager.register(plugin(slotaudio_encoders={"resnet": torch.nn.Identity}), name="other")
    registry = Registry("encoder", lambda: manager)
    assert list(registry).count("resnet") == 1
    with pytest.raises(AmbiguousComponent, match="write one of: other/resnet, slotaudio/resnet"):
        registry["resnet"]
    assert registry["other/resnet"] is torch.nn.Identity
    assert registry["slotaudio/resnet"] is not torch.nn.Identity


def test_registries_are_mappings_of_names(manager):
    registry = Registry("matcher", lambda: manager)
    assert len(registry) == len(list(registry)) == len(set(registry))
    assert registry.find("hung*") == ["hungarian"]
    assert all(name in registry for name in ("hungarian", "slotaudio/hungarian"))
    assert not any(name in registry for name in ("nope", "nope/hungarian", 3))
    assert registry.get("nope") is None
    assert registry.get("hungarian") is registry["hungarian"]
    assert repr(registry).startswith("<matchers: ")


def test_register_in_a_notebook_replaces_its_own_earlier_definition(process_wide):
    from slotaudio.registry import matchers

    @matchers.register("mine")
    def first():
        return "first"

    @matchers.register("mine")
    def second(steps: int = 3):
        return f"second {steps}"

    assert matchers["mine"] is second
    assert build("matcher", Spec("mine", steps=5)) == "second 5"


def test_a_target_that_cannot_be_imported_names_its_plugin(manager):
    manager.register(plugin(slotaudio_decoders={"unet": "slotaudio_nowhere.decoder:UNet"}), name="absent")
    with pytest.raises(SlotaudioError, match="decoder 'unet' of plug-in 'absent' cannot be imported"):
        Registry("decoder", lambda: manager)["unet"]


def test_a_hook_that_raises_loses_only_its_own_components(manager):
    def raising():
        raise RuntimeError("no licence")

    manager.register(plugin(slotaudio_encoders=raising, slotaudio_decoders={"fine": "a:B"}), name="moody")
    with pytest.warns(PluginWarning, match=r"slotaudio_encoders\(\) raised RuntimeError: no licence"):
        assert "resnet" in list(Registry("encoder", lambda: manager))
    assert "fine" in Registry("decoder", lambda: manager)


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        (["resnet"], "returned list, not a mapping"),
        (None, "returned NoneType, not a mapping"),
        ({"mine": 5}, "offers 'mine': 5, not"),
        ({"mine": "module.without.attribute"}, 'not "package.module:Attribute"'),
        ({7: "a:B"}, "offers 7: 'a:B'"),
    ],
)
def test_a_hook_that_returns_nonsense_is_reported(manager, result, complaint):
    manager.register(plugin(slotaudio_encoders=result), name="nonsense")
    with pytest.warns(PluginWarning, match=re.escape(complaint)):
        names = list(Registry("encoder", lambda: manager))
    assert "resnet" in names
    assert "mine" not in names


def test_a_misspelt_hook_is_reported_with_the_right_spelling(manager):
    manager.register(plugin(slotaudio_encodrs={"x": "a:B"}, slotaudio_macthers={"y": "a:B"}), name="typo")
    with pytest.warns(PluginWarning) as warned:
        manager.check()
    messages = " ".join(str(w.message) for w in warned)
    assert "plug-in 'typo'" in messages
    assert "no hook 'slotaudio_encodrs'. Did you mean 'slotaudio_encoders'?" in messages
    assert "no hook 'slotaudio_macthers'. Did you mean 'slotaudio_matchers'?" in messages
    assert "Known hooks: slotaudio_bottlenecks, slotaudio_build" in messages


def test_build_can_be_wrapped_and_replaced(process_wide):
    seen = []

    @hookimpl(wrapper=True)
    def slotaudio_build(family, name, options):
        component = yield
        seen.append((family, name, options, component))
        return component

    process_wide.register(types.SimpleNamespace(slotaudio_build=slotaudio_build), name="recorder")
    process_wide.register(plugin(slotaudio_matchers={"any": lambda: len}), name="plain")
    built = build("matcher", {"name": "plain/any"})
    assert seen == [("matcher", "any", {}, built)]


def test_wrong_options_are_answered_with_what_is_possible():
    with pytest.raises(WrongOptions) as caught:
        build("frontend", Spec("stft", hopp=3))
    said = str(caught.value)
    assert said.startswith("frontend 'stft' has no option 'hopp'. Did you mean 'hop'?\n  known: sample_rate, ")
    assert " hop," in said
    with pytest.raises(WrongOptions, match=r"dataset 'folder' has no option 'pth'\. Did you mean 'path'\?"):
        build("dataset", Spec("folder", pth="x"))  # not that there is no path, which is asked for
    with pytest.raises(WrongOptions, match=r"matcher 'hungarian' has no option 'xyz'\.\n  known: none"):
        build("matcher", Spec("hungarian", xyz=1))
    with pytest.raises(WrongOptions, match=r"window = 'long' is not int\. It takes \(sample_rate: int"):
        build("frontend", Spec("stft", window="long"))
    with pytest.raises(WrongOptions, match="framing = 'middle' is not one of 'end_pad', 'centred'"):
        build("frontend", Spec("stft", framing="middle"))


@pytest.mark.parametrize(
    ("parameter", "giver"), [("window: str = 'hann'", "the model"), ("sample_rate: bool = False", "the frontend")]
)
def test_what_is_offered_is_checked_as_options_are(process_wide, parameter, giver):
    names: dict = {}
    exec(f"def encoder({parameter}, **others): return lambda: (others, {parameter.partition(':')[0]})", names)
    process_wide.register(plugin(slotaudio_encoders={"mine": names["encoder"]}), name="mine")
    name = parameter.partition(":")[0]
    with pytest.raises(
        IncompatibleStages, match=rf"encoder 'mine': {giver} offers {name} = \S+ is not .* another name"
    ):
        compose(encoder="mine", bottleneck=None, decoder=None)
    assert build("encoder", Spec("mine", sample_rate=True, window="hamming"), window=0.5, sample_rate=8)
    assert build("encoder", "mine", window=None)() == ({}, {"window": "hann", "sample_rate": False}[name])


def test_unknown_family_lists_the_families():
    with pytest.raises(UserError, match="no family named 'encodr'; the families are: frontend, encoder"):
        build("encodr", "resnet")


def test_three_spellings_of_a_spec_are_equal():
    assert Spec.of("stft") == Spec("stft") == Spec.of({"name": "stft"})
    spec = Spec("stft", hop=64)
    assert Spec.of({"name": "stft", "hop": 64}) == spec == Spec.of(spec)
    assert Spec("carry_over", inner=spec).to_dict() == {"name": "carry_over", "inner": {"name": "stft", "hop": 64}}
    assert spec.updated(hop=32) == Spec("stft", hop=32)
    with pytest.raises(UserError, match="needs a name"):
        Spec.of({"hop": 64})
    with pytest.raises(UserError, match="not 5"):
        Spec.of(5)


def test_public_names_are_all_there_and_nothing_else():
    for name in slotaudio.__all__:
        assert getattr(slotaudio, name) is not None
    assert set(slotaudio.__all__) == set(dir(slotaudio))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        getattr(slotaudio, "no" + "pe")
