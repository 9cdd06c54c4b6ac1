"""`slotaudio collapse`: how often a model's slots collapse on seeded mixtures."""

from typing import Annotated, Any

import typer


def collapse(
    models: Annotated[list[str], typer.Argument(help="Bundled names, folders, or names on the Hugging Face hub.")],
    data: Annotated[str, typer.Option(help="Folder with one folder per speaker, or bundled:dev.")] = "bundled:dev",
    mixtures: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seconds: Annotated[float, typer.Option(help="Length of a mixture.")] = 10.0,
    sources: Annotated[int, typer.Option(min=2, help="Speakers of a mixture.")] = 2,
    seed: Annotated[int, typer.Option(help="Decides which mixtures are drawn.")] = 0,
) -> None:
    """Measure in which share of the windows two slots take the loudest source, and how alike slots are, by model."""
    from slotaudio import SlotModel, build

    drawn = {"path": data, "size": mixtures, "seconds": seconds, "sources": sources, "seed": seed}
    for name in models:
        model = SlotModel.from_pretrained(name)
        found, overlap, similarity = collapse_of(
            model, build("dataset", {"name": "folder", "rate": model.sample_rate, **drawn})
        )
        print(
            f"{name}: {found.share:.1%} of {found.windows} windows ({found.collapsed}) have two slots on the loudest; "
            f"attention overlap {overlap:.2f}, cosine of slots {similarity:.2f}"
        )


def collapse_of(model: Any, mixtures: Any) -> tuple[Any, float, float]:
    """Look at a model over a data set, window by window, unjoined.

    Returns:
        The `slotaudio_evidence.collapse.Collapse`, and means of `attention_overlap` (NaN for models that show no
        attention) and `slot_similarity`.
    """
    import torch

    from slotaudio.objectives.views import cut
    from slotaudio_evidence.collapse import Collapse, attention_overlap, slot_similarity
    from slotaudio_evidence.collapse import collapse as counted

    total, overlaps, similarities = Collapse(0, 0), [], []
    with torch.no_grad():
        for index in range(len(mixtures)):
            mixture, sources, _ = mixtures[index]
            windows = cut(mixture[None, None], model.window_samples)[:, :, 0]
            prediction = model(windows)
            total += counted(model.sources(prediction)[0], cut(sources[None], model.window_samples)[0])
            similarities.append(slot_similarity(prediction.slots.vectors).mean())
            if prediction.slots.attention is not None:
                overlaps.append(attention_overlap(prediction.slots.attention).mean())
    means = [torch.stack(values).mean().item() if values else float("nan") for values in (overlaps, similarities)]
    return total, means[0], means[1]
