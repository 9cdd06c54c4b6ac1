"""The model card: the README beside saved weights, from what the author says and what the model knows of itself."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slotaudio.errors import PretrainedError
from slotaudio.writing import replacing

CARD = "README.md"
"""The card's name in the folder of a saved model."""

_METADATA = ("license", "language", "datasets", "tags", "pipeline_tag")

_FOLDER = '.from_pretrained("path/to/this/folder")'
_SEPARATES = (
    "audio-to-audio",
    ("from slotaudio import Separator", "", f"separated = Separator{_FOLDER}(wave, sample_rate)"),
)
_ENCODES = (
    "feature-extraction",
    (
        "from slotaudio import SlotModel",
        "",
        f"tokens = SlotModel{_FOLDER}.encode(waves).tokens  # batch steps tokens dim",
    ),
)
"""What the hub calls a model's task, and how it is used: with and without slots and a decoder."""


def render(card: str | Mapping[str, Any] | None, config: Mapping[str, Any], weights: int) -> str:
    """Return the card as Markdown with the metadata block that the Hugging Face hub reads.

    Args:
        card: Markdown, or headings with their Markdown; keys such as ``"license"`` go to the metadata.
        config: of the saved model.
        weights: how many numbers it holds.
    """
    sections = {"": card} if isinstance(card, str) else dict(card or {})
    separates = {"bottleneck", "decoder"} <= config["components"].keys()
    task, use = _SEPARATES if separates else _ENCODES
    metadata: dict[str, Any] = {"library_name": "slotaudio", "pipeline_tag": task}
    metadata |= {key: sections.pop(key) for key in _METADATA if key in sections}
    title = sections.pop("title", "A slotaudio model")
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in metadata.items()), "---", "", f"# {title}", ""]
    for heading, text in sections.items():
        lines += [f"## {heading}", ""] if heading else []
        lines += [str(text).strip(), ""]
    lines += ["## Use", "", "```python", *use, "```", ""]
    lines += ["## Composition", "", *_composition(config, weights), ""]
    return "\n".join(lines)


def add_section(folder: str | os.PathLike[str], heading: str, text: str) -> None:
    """Put a section into the card of a saved model, before how to use it; one with that heading is replaced.

    Raises:
        PretrainedError: the folder has no card, or it cannot be written.
    """
    path = Path(folder) / CARD
    try:
        card = path.read_text(encoding="utf-8")
        section = f"## {heading}\n\n{text.strip()}\n\n"
        card = re.sub(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", "", card, flags=re.MULTILINE | re.DOTALL)
        place = card.find("## Use\n")
        place = len(card) if place < 0 else place
        with replacing(path) as partial:
            partial.write_text(card[:place] + section + card[place:], encoding="utf-8")
    except OSError as error:
        raise PretrainedError(f"cannot add to the card of {folder}: {error.strerror or error}") from None


def _composition(config: Mapping[str, Any], weights: int) -> list[str]:
    window = "any length" if config["window"] is None else f"windows of {config['window']} s"
    return [
        f"{config['slots']} slots, {window}, {config['sample_rate']} Hz, {weights / 1e6:.2f} million weights; saved by "
        f"slotaudio {config['slotaudio']}.",
        "",
        "| stage | component | package | options |",
        "|---|---|---|---|",
        *(
            f"| {family} | `{part['name']}` | {part['package']} {part['version']} | {_options(part['options'])} |"
            for family, part in config["components"].items()
        ),
    ]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={json.dumps(value)}`" for key, value in options.items()) or "defaults"
