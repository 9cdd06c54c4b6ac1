"""One page per component, from the registry; its example runs while the page is made."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from component_examples import Example, example
from generated import Folder, fields, table, toctree
from papers import PAPER, address
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import logging
from sphinx.util.display import status_iterator

from slotaudio.pluginmanager import BUILTIN
from slotaudio.registry import FAMILIES, Offer, embedders
from slotaudio.schema import readable

DOCUMENTED = (BUILTIN, "evidence", "music", "pase")
"""Plug-ins whose components have pages: those of this repository, but for the template."""

CONTRACTS = {
    "frontend": ("wave to spectrum and back", "The inverse has exactly the wave's length."),
    "encoder": ("spectrum to features", "Items of a batch are independent; `out_dim` says how wide tokens are."),
    "bottleneck": (
        "features and initial slots to slots",
        "Permuting the initial slots permutes the result and does nothing else.",
    ),
    "decoder": ("slots to estimates", "Permuting the slots permutes the estimates and does nothing else."),
    "matcher": ("cost to an assignment", "Every source gets a slot, all different, at least total cost."),
    "objective": (
        "model and batch to named losses",
        "Does not depend on the order of sources, unless they have labels.",
    ),
    "dataset": ("mixtures and their sources", "An item is a function of seed, epoch and index."),
}
_CLASSES = {family: f"slotaudio.testing.{family.capitalize()}Conformance" for family in FAMILIES}


def write_pages(app: Sphinx) -> None:
    """Write the pages of all families."""
    offers = [o for registry in FAMILIES.values() for o in registry.offers() if o.plugin in DOCUMENTED]
    missing = set(DOCUMENTED) - {offer.plugin for offer in offers}
    if missing:
        logging.getLogger(__name__).warning(
            "plug-ins %s are not installed, and these pages need them: pip install ./plugins/slotaudio-*",
            ", ".join(sorted(missing)),
        )
    with Folder(Path(app.srcdir) / "reference" / "components") as folder:
        for offer in status_iterator(offers, "components... ", length=len(offers), stringify_func=lambda o: o.name):
            name, mark = f"{offer.family}s/{offer.name}.md", _mark(offer)
            if not folder.keep(name, mark):
                folder.write(name, f"{_page(offer)}\n% {mark}\n")
        for family in FAMILIES:
            folder.write(f"{family}s/index.md", _family(family, [o for o in offers if o.family == family]))
        folder.write("embedders.md", _embedders())
        rows = [(f"[{f}]({f}s/index.md)", CONTRACTS[f][0], _names(f, offers)) for f in FAMILIES]
        rows.append(
            ("[embedder](embedders.md)", "features of recordings", ", ".join(f"`{name}`" for name in embedders))
        )
        head = "# Components\n\n" + _INTRODUCTION + table(("family", "what it does", "components"), rows)
        folder.write("index.md", head + "\n" + toctree(*(f"{family}s/index" for family in FAMILIES), "embedders"))


def _names(family: str, offers: list[Offer]) -> str:
    return ", ".join(f"[`{o.name}`]({family}s/{o.name}.md)" for o in offers if o.family == family)


def _family(family: str, offers: list[Offer]) -> str:
    what, law = CONTRACTS[family]
    rows = [(f"[`{o.name}`]({o.name}.md)", _summary(o), "" if o.plugin == BUILTIN else _package(o)) for o in offers]
    return "\n".join(
        [
            f"# {family.capitalize()}s",
            "",
            f"{what[0].upper()}{what[1:]}. {law}",
            f"{{py:obj}}`{_CLASSES[family]}` holds every one of them to it.",
            "",
            table(("name", "what it is", "comes with"), rows),
            toctree(*(offer.name for offer in offers)),
        ]
    )


def _embedders() -> str:
    """Features are asked for by name, but are no part of a model: one table is enough."""
    rows = [
        (f"`{offer.name}`", _summary(offer), "{py:obj}`~" + str(offer.target).replace(":", ".") + "`")
        for offer in embedders.offers()
        if offer.plugin in DOCUMENTED
    ]
    return (
        "# Embedders\n\nWhat `slotaudio embed --features` and `slotaudio probe --features` know by name "
        "({py:obj}`slotaudio.representation.Embedder`); {py:obj}`slotaudio.testing.EmbedderConformance` holds each of "
        "them to it.\n\n" + table(("name", "what it is", "class"), rows)
    )


def _mark(offer: Offer) -> str:
    """Return a digest of the component's module and of what makes its page: running every example takes a minute."""
    sources = [Path(inspect.getfile(offer.load())), *sorted(Path(__file__).parent.glob("component_*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _page(offer: Offer) -> str:
    component = offer.load()
    shown = example(offer, component)
    where = "slotaudio" if offer.plugin == BUILTIN else f"`pip install {_package(offer)}`"
    facts = [("family", f"[{offer.family}](index.md): {CONTRACTS[offer.family][0]}"), ("comes with", where)]
    papers = {match[0]: address(match) for match in PAPER.finditer(inspect.getdoc(component) or "")}
    if papers:
        facts.append(("paper" if len(papers) == 1 else "papers", ", ".join(f"[{n}]({a})" for n, a in papers.items())))
    facts += shown.costs
    target = str(offer.target).replace(":", ".")
    return "\n".join(
        [
            f"# {offer.name}",
            "",
            _summary(offer),
            "",
            fields(facts),
            "## Example",
            "",
            shown.text,
            "## Options",
            "",
            _options(component, shown),
            "*Threaded* options are filled in by `compose` from the stages before.\n" if shown.threaded else "",
            "## In full",
            "",
            "```{eval-rst}",
            f".. auto{'class' if inspect.isclass(component) else 'function'}:: {target}",
            "```",
            "",
        ]
    )


def _summary(offer: Offer) -> str:
    return (inspect.getdoc(offer.load()) or "").partition("\n")[0].replace("``", "`")


def _package(offer: Offer) -> str:
    return offer.distribution.package if offer.distribution else offer.plugin


def _options(component: Any, shown: Example) -> str:
    described = option_texts(component)
    rows = []
    for name, parameter in inspect.signature(component).parameters.items():
        default = "*required*" if parameter.default is inspect.Parameter.empty else f"`{parameter.default!r}`"
        if name in shown.threaded:
            default = "*threaded*"  # compose fills it in
        kind = "" if parameter.annotation is inspect.Parameter.empty else f"`{readable(parameter.annotation)}`"
        rows.append((f"`{name}`", kind, default, described.get(name, "")))
    return table(("option", "type", "default", "what it does"), rows) if rows else "It has none.\n"


@dataclass(frozen=True)
class _Field:
    names: tuple[str, ...]
    text: str


def option_texts(component: Any) -> dict[str, str]:
    """Return what the ``Args:`` section of a docstring says of each option."""
    doc = inspect.getdoc(component) or ""
    parsed = _Sections(doc, Config(napoleon_google_docstring=True)).found
    texts = {name: field.text for field in parsed for name in field.names}
    return {name: text.replace("``", "`") for name, text in texts.items()}


class _Sections(GoogleDocstring):
    """Napoleon's parser, stopped after the section of the options."""

    found: Sequence[_Field] = ()

    def _parse_parameters_section(self, section: str) -> list[str]:
        fields = self._consume_fields()
        self.found = [_Field(tuple(part.strip(" *") for part in n.split(",")), " ".join(d)) for n, _, d in fields]
        return []


_INTRODUCTION = """Everything a model, its training and its data are made of, by family. `slotaudio components` lists
the same in the terminal, with whatever else is installed. Parameters and costs on these pages are counted while the
pages are made, at the default options; a cost is the number of multiplications and additions of
matrix products, convolutions and attention for one second of audio.

"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the event."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
