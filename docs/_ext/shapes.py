"""Shapes of signatures: ``Float[Tensor, 'batch slots dim']`` loses its quotes, and every axis links to its meaning."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_QUOTED = re.compile(r"""^['"](?P<axes>[\w *#.+-]+)['"]$""")
_ARRAYS = ("Tensor", "ndarray")


class ReadableShapes(SphinxTransform):
    """Turn the axis string of every array annotation into words that link to the glossary."""

    default_priority = 10

    def apply(self, **_: Any) -> None:
        """Rewrite the signatures of the page."""
        for signature in list(self.document.findall(addnodes.desc_signature)):
            for literal in list(signature.findall(addnodes.desc_sig_literal_string)):
                match = _QUOTED.match(literal.astext())
                if match and _follows_array(literal):
                    literal.parent.replace(literal, self._axes(match["axes"]))

    def _axes(self, axes: str) -> nodes.Node:
        shape = nodes.inline(classes=["shape"])
        for number, word in enumerate(axes.split()):
            if number:
                shape += nodes.Text(" ")
            term = re.sub(r"\W", "", word)
            link = addnodes.pending_xref(
                "",
                nodes.inline("", word, classes=["axis"]),
                refdomain="std",
                reftype="term",
                reftarget=term,
                refdoc=self.env.docname,
                refexplicit=True,
                refwarn=False,
            )
            shape += link if term in TERMS else nodes.inline("", word, classes=["axis"])
        return shape


TERMS = frozenset(
    (
        *("batch", "channels", "time", "freq", "frames", "maps", "tokens", "steps", "windows", "window"),
        *("slots", "sources", "dim", "heads", "axes"),
    )
)
"""Axes that `reference/vocabulary.md` explains."""


def _follows_array(node: nodes.Node) -> bool:
    before = node.parent[: node.parent.index(node)]
    words = [item.astext() for item in before if item.astext().strip(" ,")]
    return bool(words) and words[-1].endswith(_ARRAYS)  # a name may be there twice, short and in full


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(ReadableShapes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
