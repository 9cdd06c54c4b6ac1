"""Describes components without importing them: summary and options are read from the source text."""

import ast
import functools
import importlib.util
import inspect
from dataclasses import dataclass

from slotaudio.registry import Offer


@dataclass(frozen=True)
class Description:
    """First line of the docstring and the options with their defaults, as written."""

    summary: str
    options: tuple[str, ...]


def describe(offer: Offer) -> Description:
    """Describe an offered component; importing neither it nor torch if its target is a string."""
    if not isinstance(offer.target, str):
        doc = inspect.getdoc(offer.target) or ""
        try:
            parameters = inspect.signature(offer.target).parameters.values()
        except ValueError:  # some classes written in C do not tell
            return Description(doc.partition("\n")[0], ())
        return Description(doc.partition("\n")[0], tuple(map(str, parameters)))
    module, _, attribute = offer.target.partition(":")
    node = _definition(module, attribute)
    if node is None:
        return Description(f"(no source found for {offer.target})", ())
    doc = ast.get_docstring(node) or ""
    return Description(doc.partition("\n")[0], _options(module, node))


def _definition(module: str, attribute: str) -> ast.ClassDef | ast.FunctionDef | None:
    for node in _parsed(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == attribute:
            return node
    return None


@functools.cache
def _parsed(module: str) -> ast.Module:
    try:
        spec = importlib.util.find_spec(module)  # imports parent packages only
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            with open(spec.origin, encoding="utf-8") as file:
                return ast.parse(file.read())
    except (Exception, SystemExit):  # a broken plug-in must not spoil the list; `Offer.load` says what is wrong with it
        pass
    return ast.Module(body=[], type_ignores=[])


def _options(module: str, node: ast.ClassDef | ast.FunctionDef) -> tuple[str, ...]:
    if isinstance(node, ast.FunctionDef):
        return _parameters(node)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _parameters(item)
    inherited = next(filter(None, (_inherited(module, base) for base in node.bases)), ())
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):  # its fields are the options
        return (*inherited, *(ast.unparse(item) for item in node.body if isinstance(item, ast.AnnAssign)))
    return inherited


def _inherited(module: str, base: ast.expr) -> tuple[str, ...]:
    """The options of a base class that is defined in the same module, in its package or in slotaudio.

    Looking into other packages would import them.
    """
    if not isinstance(base, ast.Name):
        return ()
    node = _definition(module, base.id)
    if node is not None and node.lineno < base.lineno:
        return _options(module, node)
    for item in (found for found in _parsed(module).body if isinstance(found, ast.ImportFrom)):
        for name in item.names:
            if base.id == (name.asname or name.name):
                home = _home(module, item)
                known = home.partition(".")[0] in (module.partition(".")[0], "slotaudio")
                node = _definition(home, name.name) if known else None
                return () if node is None else _options(home, node)
    return ()


def _home(module: str, imported: ast.ImportFrom) -> str:
    """The module that a statement in `module` imports from."""
    if not imported.level:
        return imported.module or ""
    spec = importlib.util.find_spec(module)
    parents = spec.parent.split(".") if spec and spec.parent else []
    return ".".join([*parents[: len(parents) - imported.level + 1], *filter(None, [imported.module])])


def _parameters(function: ast.FunctionDef) -> tuple[str, ...]:
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    missing: list[ast.expr | None] = [None] * (len(arguments.posonlyargs + arguments.args) - len(arguments.defaults))
    defaults = [*missing, *arguments.defaults, *arguments.kw_defaults]
    return tuple(
        name.arg + (f"={ast.unparse(default)}" if default is not None else "")
        for name, default in zip(names, defaults, strict=True)
        if name.arg != "self"
    )
