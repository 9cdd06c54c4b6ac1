"""The model card that is saved beside the weights of a run."""

import platform

import torch

from slotaudio.pluginmanager import plugin_manager
from slotaudio.recipe import Recipe
from slotaudio.spec import Spec
from slotaudio.toml import dump

_WORDS = {
    "validation/si_sdr_i": "SI-SDRi on the validation mixtures: {:.2f} dB",
    "validation/si_sdr": "SI-SDR on the validation mixtures: {:.2f} dB",
    "validation/loss": "loss on the validation mixtures: {:.4g}",
}


def card(
    recipe: Recipe,
    command: str,
    step: int,
    heard: float,
    trained: float,
    metric: str,
    score: float | None,
) -> dict[str, str]:
    """Return the sections of the card, as `slotaudio.pretrained.save_pretrained` takes them.

    Args:
        recipe: that was trained.
        command: that trained it.
        step: at which the weights were taken.
        heard: hours of mixtures up to then.
        trained: hours of wall time up to then.
        metric, score: what the last validation gave; an empty metric for none.
    """
    figure = "not validated" if score is None else _WORDS[metric].format(score)
    averaged = f" (moving average of the weights, decay {recipe.train.ema})" if recipe.train.ema else ""
    packages = ", ".join(f"{name} {version}" for name, version in plugin_manager().packages().items())
    data = "\n".join(
        f"- {part}: " + ", ".join(f"{key} = {value}" for key, value in Spec.of(like).to_dict().items())
        for part, like in recipe.table["data"].items()
    )
    training = f"""
- {step:,} steps on {heard:.2f} hours of mixtures{averaged}
- {figure}, at that step
- {trained:.2f} hours with {torch.get_num_threads()} threads on {platform.machine()}, torch {torch.__version__}
- packages: {packages}
"""
    limits = """
The figure holds for mixtures like the validation set's. Other languages, rooms, levels and kinds of sound have not
been measured.
"""
    made = f"```\n{command}\n```\n\nwith this recipe:\n\n```toml\n{dump(recipe.table)}```\n"
    return {
        "title": recipe.name,
        "": recipe.about,
        "Training": training,
        "Data": data + "\n" + limits,
        "How it was made": made,
    }
