"""The model card: the README beside saved weights, from what the author says and what the model knows of itself."""

import json
from collections.abc import Mapping
from typing import Any

_METADATA = ("license", "language", "datasets", "tags", "pipeline_tag")


def render(card: str | Mapping[str, Any] | None, config: Mapping[str, Any], weights: int) -> str:
    """Return the card as Markdown with the metadata block that the Hugging Face hub reads.

    Args:
        card: Markdown, or headings with their Markdown; keys such as ``"license"`` go to the metadata.
        config: of the saved model.
        weights: how many numbers it holds.
    """
    sections = {"": card} if isinstance(card, str) else dict(card or {})
    metadata: dict[str, Any] = {"library_name": "slotaudio", "pipeline_tag": "audio-to-audio"}
    metadata |= {key: sections.pop(key) for key in _METADATA if key in sections}
    title = sections.pop("title", "A slotaudio model")
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in metadata.items()), "---", "", f"# {title}", ""]
    for heading, text in sections.items():
        lines += [f"## {heading}", ""] if heading else []
        lines += [str(text).strip(), ""]
    lines += ["## Use", "", "```python", "from slotaudio import Separator", ""]
    lines += ['separated = Separator.from_pretrained("path/to/this/folder")(wave, sample_rate)', "```", ""]
    lines += ["## Composition", "", *_composition(config, weights), ""]
    return "\n".join(lines)


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
