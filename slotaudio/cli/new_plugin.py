"""`slotaudio new-plugin`: a package with one component, its test and its CI, ready to be installed."""

import keyword
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from slotaudio import __version__
from slotaudio.errors import UserError
from slotaudio.registry import REGISTRIES

_PREFIX = "slotaudio-"

_SMALL: dict[str, dict[str, float]] = {
    "frontend": {"size": 16},
    "encoder": {"dim": 8},
    "bottleneck": {"slot_dim": 8},
    "dataset": {"seconds": 0.1, "size": 4},
}
"""Options with which the generated test is fast."""

_LAYOUT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "$package/__init__.py": "hooks.py",
    "$package/$family.py": "$family.py",
    "tests/test_$module.py": "checks.py",
}
"""Files of the package and the templates that they come from."""


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the component, such as wavlm; the package is slotaudio-NAME.")],
    family: Annotated[str, typer.Option("--family", help=f"One of: {', '.join(REGISTRIES)}.")] = "encoder",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder in which slotaudio-NAME is made.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a plug-in package: one component, its conformance test and its CI."""
    from importlib.resources import files

    words = _names(name, family)
    folder = output / words["project"]
    _check_free(words, folder)
    template = files("slotaudio.cli") / "plugin_template"
    written = {
        folder / Template(path).substitute(words): Template(
            (template / f"{Template(source).substitute(words)}.template").read_text(encoding="utf-8")
        ).substitute(words)
        for path, source in _LAYOUT.items()
    }
    there = [path for path in written if path.exists()]
    if there and not force:
        raise UserError(f"{there[0]} is there already; choose another name, or --force to write over it")
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from None
    print(
        f"wrote {folder}: {family} {words['component']!r}, its test and its CI. Next:\n"
        f"  pip install -e '{folder}[test]'\n"
        f"  slotaudio components {family}\n"
        f"  pytest {folder}\n"
        f"  then replace what {folder / words['package'] / family}.py computes"
    )


def _check_free(words: Mapping[str, str], folder: Path) -> None:
    """Refuse a package that would take the place of another one, unless that is what lies in `folder`.

    Raises:
        UserError: says what is installed, and suggests another name.
    """
    found = find_spec(words["package"])
    if found is not None:
        places = found.submodule_search_locations or [found.origin or ""]
        if (folder / words["package"]).resolve() in (Path(place).resolve() for place in places):
            return
        there = f"a module {words['package']!r} can be imported from {next(iter(places))}"
    else:
        try:
            there = f"a package {words['project']!r} is installed, version {version(words['project'])}"
        except PackageNotFoundError:
            return
    another = words["project"].removeprefix(_PREFIX)
    raise UserError(f"{there}, and the new one would take its place: choose another name, such as my-{another}")


def _names(name: str, family: str) -> dict[str, str]:
    """Every name that the templates need.

    Raises:
        UserError: no such family, a name that Python or a package index would refuse, or one that is taken.
    """
    family = family.removesuffix("s")
    if family not in REGISTRIES:
        raise UserError(f"no family named {family!r}; the families are: {', '.join(REGISTRIES)}")
    short = name.removeprefix(_PREFIX)
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", short) or keyword.iskeyword(short):
        raise UserError(
            f"{name!r} cannot name a package and a module: use lower-case letters and digits, with single hyphens "
            "between words, such as wavlm or harmonic-masks"
        )
    module = short.replace("-", "_")
    taken = [offer.plugin for offer in REGISTRIES[family].offers() if offer.name == module and offer.plugin != module]
    if taken:
        raise UserError(f"plug-in {taken[0]!r} has taken the {family} name {module!r}; choose another")
    options = ", ".join(f'"{key}": {value}' for key, value in _SMALL.get(family, {}).items())
    return {
        "family": family,
        "a_family": ("An " if family[0] in "aeiou" else "A ") + family.replace("dataset", "data set"),
        "suite": f"{family.capitalize()}Conformance",
        "project": _PREFIX + short.replace("_", "-"),
        "package": f"slotaudio_{module}",
        "plugin": module,
        "module": module,
        "component": module,
        "class_name": "".join(word.capitalize() for word in module.split("_")),
        "attributes": f"\n    options = {{{options}}}" if options else "",
        "minimum": ".".join(re.findall(r"\d+", __version__)[:2]),
    }
