"""The hooks a plug-in may implement. Each docstring is a complete working example.

A plug-in is an importable module of functions marked with `slotaudio.hookimpl`, announced by an
entry point of the group ``slotaudio``::

    [project.entry-points.slotaudio]
    mine = "slotaudio_mine"

Family hooks return **strings** ``"package.module:Class"``, so that listing every component imports
neither torch nor the plug-in's own heavy parts. Keep the module that holds the hooks trivial.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("slotaudio")

Target = str | Callable[..., Any]
"""``"package.module:Attribute"``, or the object itself (notebooks, tests)."""


@hookspec
def slotaudio_frontends() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer frontends (wave to spectrum and back).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_frontends():
            return {"sinc": "slotaudio_mine.frontend:SincFrontend"}
    """


@hookspec
def slotaudio_encoders() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer encoders (spectrum to features).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_encoders():
            return {"wavlm": "slotaudio_mine.encoder:WavLMEncoder"}
    """


@hookspec
def slotaudio_bottlenecks() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer bottlenecks (features and initial slots to slots).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_bottlenecks():
            return {"evidence": "slotaudio_mine.bottleneck:EvidenceSlotAttention"}
    """


@hookspec
def slotaudio_decoders() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer decoders (slots to estimates).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_decoders():
            return {"unet": "slotaudio_mine.decoder:UNetDecoder"}
    """


@hookspec
def slotaudio_matchers() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer matchers (cost to an assignment of slots to sources).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_matchers():
            return {"sinkhorn": "slotaudio_mine.matcher:Sinkhorn"}
    """


@hookspec
def slotaudio_objectives() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer objectives (model and batch to named losses).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_objectives():
            return {"pase": "slotaudio_mine.workers:PaseWorkers"}
    """


@hookspec
def slotaudio_datasets() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer data sets (name and options to items of mixture, sources and metadata).

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_datasets():
            return {"musdb": "slotaudio_mine.musdb:Musdb"}
    """


@hookspec
def slotaudio_recipes() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer recipes, which ``slotaudio recipes`` lists and ``slotaudio train NAME`` trains.

    Each is ``"package:path/to/file.toml"``: a file that is installed inside the package. Its key ``about`` is the line
    in the list.

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_recipes():
            return {"wavlm-slots": "slotaudio_mine:recipes/wavlm-slots.toml"}
    """


@hookspec
def slotaudio_embedders() -> Mapping[str, Target]:  # type: ignore[empty-body]
    """Offer embedders (recording in blocks to vectors over time), the ``--features`` of `slotaudio embed` and `probe`.

    A constructor that has a parameter `model` gets the loaded model of ``--model``; see
    `slotaudio.representation.Embedder` for what it makes; `slotaudio.testing.EmbedderConformance` checks it.

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_embedders():
            return {"ivector": "slotaudio_mine.ivector:IVector"}
    """


@hookspec(firstresult=True)
def slotaudio_build(family: str, name: str, factory: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Construct one component. The built-in implementation, tried last, is ``factory(**options)``.

    `name` is the short one, also where the component was asked for as ``plugin/name``.

    Wrap it to time, freeze, compile or adapt whatever is built, without the component knowing.

    Example::

        import slotaudio

        @slotaudio.hookimpl(wrapper=True)
        def slotaudio_build(family, name):
            component = yield
            if family == "encoder":
                component.requires_grad_(False)
            return component
    """


@hookspec
def slotaudio_commands(app: Any) -> None:
    """Add commands to the ``slotaudio`` command line; `app` is a `typer.Typer`.

    Example::

        import slotaudio

        @slotaudio.hookimpl
        def slotaudio_commands(app):
            @app.command()
            def hello():
                "Say hello."
                print("hello from a plug-in")
    """
