"""Pages made of files outside ``docs``: model cards, the changelog, the guide for contributors; and links to them."""

import re
from pathlib import Path

from generated import Folder, toctree
from sphinx.application import Sphinx

from slotaudio.pretrained import bundled, locate

_CARD = re.compile(r"\]\((?:\.\./)*slotaudio/assets/models/([\w.-]+)/README\.md\)")
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:benchmarks|examples|plugins|slotaudio|tests)[\w./-]*)\)")
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def write_cards(app: Sphinx) -> None:
    """Write one page per bundled model from its card."""
    with Folder(Path(app.srcdir) / "models") as folder:
        for name in bundled():
            folder.write(f"{name}.md", _FRONT.sub("", (locate(name) / "README.md").read_text(encoding="utf-8")))
        folder.write("index.md", _INDEX + toctree(*bundled(), hidden=False))


def write_files(app: Sphinx) -> None:
    """Copy Markdown files from the root of the repository; their links into ``docs`` stay links."""
    docs = Path(app.srcdir)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (docs.parent / name).read_text(encoding="utf-8").replace("](docs/", "](")
        target = docs / name.lower()
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def link_cards(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to a card in the repository go to its page, and list every page of results."""
    source[0] = _CARD.sub(r"](/models/\1.md)", source[0])
    source[0] = _OUTSIDE.sub(r"\1 (`\2`)", source[0])  # what has no page is named
    if docname == "results/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


_INDEX = """# Models

What ships with the package, each with its figures, its weaknesses and how it was made.
`Separator.from_pretrained()` loads the default one, `Separator.from_pretrained("NAME")` any of them.

"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the events."""
    app.connect("builder-inited", write_cards)
    app.connect("builder-inited", write_files)
    app.connect("source-read", link_cards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
