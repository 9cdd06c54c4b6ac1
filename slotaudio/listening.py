"""Players: listen to waves where a notebook or a page shows them, each in the colour of its slot."""

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.plotting import SLOT_COLOURS

_FLAC_RATES = (1, 655_350)
_ROW = (
    '<div style="display: flex; align-items: center; flex-wrap: wrap; gap: 0.2rem 0.8rem; margin: 0.3rem 0">'
    '<span style="border-left: 0.3rem solid {colour}; padding-left: 0.5rem; width: 9rem">{name}</span>'
    '<audio controls preload="none" style="height: 2.2rem; flex: 1 1 14rem; max-width: 30rem" '
    'src="data:audio/flac;base64,{sound}"></audio></div>'
)
_PLAIN = "#868e96"


@dataclass(frozen=True)
class Players:
    """One player per wave; a notebook shows them, a terminal their names."""

    sounds: Mapping[str, bytes]
    """FLAC files by name."""
    colours: Mapping[str, str]

    def _repr_html_(self) -> str:
        rows = (
            _ROW.format(colour=self.colours[name], name=html.escape(name), sound=base64.b64encode(sound).decode())
            for name, sound in self.sounds.items()
        )
        return f'<div class="slotaudio-players">{"".join(rows)}</div>'

    def __repr__(self) -> str:
        return f"<players, to be shown in a notebook: {', '.join(self.sounds)}>"


def players(
    waves: Mapping[str, Any] | Float[Tensor, "slots channels time"],
    sample_rate: int,
    mixture: Float[Tensor, "channels time"] | None = None,
) -> Players:
    """Return players of waves at the levels that they have; samples beyond full scale are limited.

    Args:
        waves: by name, each ``time`` or ``channels time``; or the sources of a separator, which are then called
            ``slot 1``, ``slot 2``, ... and get the colours that those slots have in every picture.
        sample_rate: in hertz, a whole number.
        mixture: put before them.

    Raises:
        UserError: a wave with other axes, or a rate that no player knows.

    Example:
        >>> players({"noise": 0.1 * torch.randn(16000)}, 16000)
        <players, to be shown in a notebook: noise>
    """
    if not _FLAC_RATES[0] <= sample_rate <= _FLAC_RATES[1]:
        raise UserError(f"no player plays {sample_rate} Hz; resample to a rate such as 16000 or 44100")
    colours: dict[str, str] = {}
    named = {} if mixture is None else {"mixture": mixture}
    if not isinstance(waves, Mapping):
        slots = {f"slot {number}": wave for number, wave in enumerate(waves, start=1)}
        colours = {name: SLOT_COLOURS[index % len(SLOT_COLOURS)] for index, name in enumerate(slots)}
        waves = slots
    named |= waves
    sounds = {name: _flac(torch.as_tensor(wave), sample_rate, name) for name, wave in named.items()}
    return Players(sounds, {name: colours.get(name, _PLAIN) for name in sounds})


def _flac(wave: Tensor, sample_rate: int, name: str) -> bytes:
    if wave.ndim not in (1, 2) or not 1 <= wave.reshape(-1, wave.shape[-1]).shape[0] <= 8:
        raise UserError(
            f"{name}: a player takes `time` or `channels time` with up to 8 channels, not {tuple(wave.shape)}"
        )
    samples = wave.detach().float().clamp(-1, 1 - 2**-15).reshape(-1, wave.shape[-1]).mT.cpu().numpy()
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
