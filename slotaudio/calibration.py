"""`calibrate`: voices at the level that they have in the mixture, for models whose training did not look at levels."""

import math
from collections.abc import Iterable
from typing import Any

import torch

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.separation.separator import Separator


@torch.no_grad()
def calibrate(model: SlotModel, mixtures: Iterable[tuple[Any, Any, Any]]) -> float:
    """Change a model's decoder by one factor, after which its outputs have the level of the voices; return the factor.

    SI-SDR does not see levels. Where outputs need not add up to the mixture, as with a `rest`, they may therefore be
    louder or softer than the voices, by nearly the same factor whatever is separated. All outputs of a mixture
    together are projected on all of its sources, so that nothing has to be matched; the mean projection becomes 1.

    Args:
        model: with a decoder that can be amplified (`mask` with `rest`); it is changed.
        mixtures: items of a data set without noise, such as ``FolderMixtures("speech", seconds=6.0, size=24)``.

    Raises:
        UserError: a decoder without ``amplify``, no mixtures, or outputs that have nothing to do with the sources.
    """
    amplify = getattr(model.decoder, "amplify", None)
    if amplify is None:
        raise UserError(
            f"a {type(model.decoder).__name__} cannot be amplified: calibrate models whose decoder leaves a rest, such "
            "as 'mask' with rest = true"
        )
    separator = Separator(model)
    levels = []
    for mixture, sources, _ in mixtures:
        outputs, voices = separator(mixture, model.sample_rate).sources.sum(0), sources.sum(0)
        levels.append(float((outputs * voices).sum() / voices.square().sum()))
    level = sum(levels) / len(levels) if levels else math.nan
    if not 0.1 < level < 10:
        raise UserError(
            f"the outputs have {level:.3g} times the level of the sources in {len(levels)} mixtures: no factor"
        )
    amplify(1 / level)
    return 1 / level
