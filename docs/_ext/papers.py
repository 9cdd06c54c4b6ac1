"""``arXiv 2305.05591`` and ``doi 10.1049/...`` become links wherever they stand: docstrings, pages, tutorials."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PAPER = re.compile(r"(?:arXiv (?P<arxiv>\d{4}\.\d{4,5})|doi (?P<doi>10\.\d{4,}/[\w./()-]*\w))")


def address(match: re.Match[str]) -> str:
    """Return where the paper is."""
    if match["arxiv"]:
        return f"https://arxiv.org/abs/{match['arxiv']}"
    return f"https://doi.org/{match['doi']}"


class LinkPapers(SphinxTransform):
    """Link papers that are named in running text."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        """Replace text by text and links."""
        for text in list(self.document.findall(nodes.Text)):
            if PAPER.search(text) and not _inside(text, (nodes.reference, nodes.literal, nodes.literal_block)):
                text.parent.replace(text, _linked(str(text)))


def _inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _linked(text: str) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    end = 0
    for match in PAPER.finditer(text):
        found.append(nodes.Text(text[end : match.start()]))
        found.append(nodes.reference("", match[0], refuri=address(match), internal=False))
        end = match.end()
    return [*found, nodes.Text(text[end:])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(LinkPapers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
