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
        found, inside = collapse_of(model, build("dataset", {"name": "folder", "rate": model.sample_rate, **drawn}))
        share = f"{found.share:.1%} of {found.windows} windows ({found.collapsed}) have two slots on the loudest"
        print(f"{name}: {share}", *(f"{what.replace('_', ' ')} {mean:.2f}" for what, mean in inside.items()), sep="; ")


def collapse_of(model: Any, mixtures: Any) -> tuple[Any, dict[str, float]]:
    """Look at a model over a data set, window by window, unjoined.

    Returns:
        The `slotaudio.collapse.Collapse`, and what `slotaudio.collapse.alike` says of all windows.
    """
    import torch

    from slotaudio.collapse import Collapse, alike
    from slotaudio.collapse import collapse as counted
    from slotaudio.objectives.views import cut

    total, slots = Collapse(0, 0), []
    with torch.no_grad():
        for index in range(len(mixtures)):
            mixture, sources, _ = mixtures[index]
            windows = cut(mixture[None, None], model.window_samples)[:, :, 0]
            prediction = model(windows)
            total += counted(model.sources(prediction)[0], cut(sources[None], model.window_samples)[0])
            slots.append(prediction.slots)
    return total, alike(slots)
