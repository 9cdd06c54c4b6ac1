"""One page per module, found by walking the package: a public name cannot be forgotten."""

import ast
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from generated import Folder, table, toctree
from sphinx.application import Sphinx

import slotaudio
from slotaudio.registry import FAMILIES

_SKIPPED = ("slotaudio.cli", "slotaudio.builtin", "slotaudio.__main__")

ROOMS = {
    "slotaudio": "The names that most programs need, importable from `slotaudio` itself.",
    "Models": "Composing a model, loading and saving it, and what its stages pass on.",
    "Components": "Modules of the components; each component has a [page of its own](../components/index.md).",
    "Separation": "From estimates to sources: masks, windows, joining, streams.",
    "Audio": "Files and how they are replaced, sample rates, timelines of speakers.",
    "Data": "Mixtures and conversations.",
    "Training and measuring": "Options, runs, metrics, tables, pictures.",
    "Extending": "Hooks, registries and the conformance suite.",
}
_PLACES = {
    "Models": [
        *("compose", "spec", "recipe", "presets", "model", "pretrained", "averaging", "exporting"),
        *("modelconfig", "modelcard", "types", "errors", "schema", "toml"),
    ],
    "Components": [
        *(f"{family}s" for family in FAMILIES if family != "dataset"),
        *["bands", "dual_path", "positions"],
    ],
    "Separation": ["separation", "diarisation"],
    "Audio": ["audio", "resampling", "rttm", "writing", "listening"],
    "Data": ["data"],
    "Training and measuring": [
        *("training", "evaluation", "metrics", "quality", "identity", "plotting", "representation"),
    ],
    "Extending": ["hookspecs", "pluginmanager", "registry", "describe", "doctor", "testing"],
}


def modules() -> Iterator[str]:
    """Yield the name of every public module of the package."""
    for module in pkgutil.walk_packages(slotaudio.__path__, "slotaudio."):
        private = any(part.startswith("_") for part in module.name.split("."))
        if not private and not module.name.startswith(_SKIPPED):
            yield module.name


def source(module: str) -> ast.Module:
    """Return the parsed source of a module, which is not imported."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def components() -> dict[str, str]:
    """Return where the component pages describe classes: target to page."""
    offers = (offer for registry in FAMILIES.values() for offer in registry.offers())
    return {
        offer.target.replace(":", "."): f"{offer.family}s/{offer.name}"
        for offer in offers
        if isinstance(offer.target, str)
    }


def write_pages(app: Sphinx) -> None:
    """Write the index, one page per room of the package, and one per module."""
    rooms: dict[str, list[str]] = {name: [] for name in ROOMS if name != "slotaudio"}
    for module in modules():
        rooms[_room(module)].append(module)
    described = components()
    with Folder(Path(app.srcdir) / "reference" / "api") as folder:
        folder.write("slotaudio.md", _top())
        for module in (name for names in rooms.values() for name in names):
            folder.write(f"{module}.md", _module_page(module, described))
        for room, names in rooms.items():
            folder.write(f"{_file(room)}.md", _room_page(room, names))
        folder.write("index.md", _index(rooms))


def _room(module: str) -> str:
    first = module.split(".")[1]
    for room, places in _PLACES.items():
        if first in places:
            return room
    return "Models"


def _file(room: str) -> str:
    return room.lower().replace(" ", "-")


def _about(module: str) -> str:
    return (ast.get_docstring(source(module)) or "").partition("\n")[0].replace("``", "`")


def _index(rooms: dict[str, list[str]]) -> str:
    rows = [("[`slotaudio`](slotaudio.md)", ROOMS["slotaudio"])]
    rows += [(f"[{room}]({_file(room)}.md)", ROOMS[room]) for room in rooms]
    trees = toctree("slotaudio", *(_file(room) for room in rooms))
    return f"# Python\n\nEvery public name, by room.\n\n{table(('room', 'what'), rows)}\n{trees}"


def _room_page(room: str, names: list[str]) -> str:
    rows = [(f"[`{name}`]({name}.md)", _about(name)) for name in names]
    return f"# {room}\n\n{ROOMS[room]}\n\n{table(('module', 'what'), rows)}\n{toctree(*names)}"


def _module_page(module: str, described: dict[str, str]) -> str:
    here = {target: page for target, page in described.items() if target.rpartition(".")[0] == module}
    top = [f"{name}" for name, home in slotaudio._PUBLIC.items() if home == module]
    lines = [f"# {module}", "", "```{eval-rst}", f".. automodule:: {module}"]
    if module.partition(".")[2] in slotaudio._PUBLIC:  # `slotaudio.compose` is the function
        lines.append("   :no-index:")
    excluded = [target.rpartition(".")[2] for target in here] + top
    if excluded:
        lines.append(f"   :exclude-members: {', '.join(excluded)}")
    lines += ["```", ""]
    for target, page in here.items():
        lines.append(f"- `{target.rpartition('.')[2]}` has a [page of its own](../components/{page}.md).")
    for name in top:
        lines.append(f"- `{name}` is [among the names of `slotaudio`](slotaudio.md).")
    return "\n".join([*lines, ""])


def _top() -> str:
    lines = ["# slotaudio", "", (slotaudio.__doc__ or "").partition("\n")[2].strip(), ""]
    lines += ["```{eval-rst}", ".. py:module:: slotaudio", ""]
    kinds = {"compose": "function", "build": "function", "preset": "function", "export": "function"}
    for name in slotaudio._PUBLIC:
        lines += [
            f".. auto{kinds.get(name, 'exception' if name.endswith('Error') else 'class')}:: slotaudio.{name}",
            "",
        ]
    lines += [".. autodata:: slotaudio.hookimpl", "   :no-value:", "", "```", ""]
    return "\n".join(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the event."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
