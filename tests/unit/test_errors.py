"""Errors say where they are explained, and that place exists."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import slotaudio
from slotaudio import errors
from slotaudio.cli.reporting import report
from slotaudio.errors import DataError, UserError, documentation

DOCS = Path(__file__).parents[2] / "docs"


def pages() -> Iterator[tuple[str, str]]:
    """Every page that the code names: `page=` of an exception, or a constant that is given to it."""
    for path in sorted(Path(slotaudio.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                values = [keyword.value for keyword in node.keywords if keyword.arg == "page"]
            elif isinstance(node, ast.Assign):
                named = {getattr(target, "id", "") for target in node.targets} & {"page", "_EXPLAINED"}
                values = [node.value] if named else []
            else:
                continue
            yield from ((path.name, value.value) for value in values if isinstance(value, ast.Constant) and value.value)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,3} (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_and_anchor_that_an_error_names_exists():
    named = set(pages())
    assert len(named) > 8
    for file, page in named:
        name, _, anchor = page.partition("#")
        source = DOCS / f"{name}.md"
        assert source.is_file(), (file, page)
        assert not anchor or anchor in anchors(source), (file, page)


def test_the_address_is_the_variables_the_packages_or_the_file(monkeypatch):
    monkeypatch.setenv("SLOTAUDIO_DOCS", "https://example.org/docs/")
    assert documentation("howto/web#limits") == "https://example.org/docs/howto/web.html#limits"
    assert documentation("design") == "https://example.org/docs/design.html"
    monkeypatch.delenv("SLOTAUDIO_DOCS")
    monkeypatch.setattr(errors, "_published", lambda: "https://example.net")
    assert documentation("design") == "https://example.net/design.html"
    monkeypatch.setattr(errors, "_published", lambda: "")
    assert documentation("design#contracts") == f"{DOCS / 'design.md'}#contracts"
    monkeypatch.setattr(errors, "__file__", "/elsewhere/slotaudio/errors.py")
    assert documentation("design#contracts") == "design#contracts in the documentation"


def test_the_command_line_and_tracebacks_show_where_to_read(monkeypatch, capsys):
    monkeypatch.setenv("SLOTAUDIO_DOCS", "https://example.org")
    assert report(DataError("no voices")) == 2
    told = "slotaudio: error: no voices (see https://example.org/howto/own-data.html)\n"
    assert capsys.readouterr().err == told
    report(UserError("so"))
    assert capsys.readouterr().err == "slotaudio: error: so\n"
    report(UserError("a larger `size`", on_command_line="a larger --size"))
    assert capsys.readouterr().err == "slotaudio: error: a larger --size\n"
    with pytest.raises(UserError) as caught:
        raise UserError("so", page="design")
    assert caught.value.__notes__ == ["See https://example.org/design.html"]
    again = pickle.loads(pickle.dumps(caught.value))  # from a worker's process
    assert again.on_command_line is None
    assert (str(again), again.page, again.__notes__) == ("so", "design", caught.value.__notes__)
