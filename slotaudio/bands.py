"""How a spectrum is cut into bands: narrow where voices have their harmonics, wide above."""

from collections.abc import Sequence

from slotaudio.errors import IncompatibleStages, UserError

SPEECH = ((2000.0, 250.0), (4000.0, 500.0), (8000.0, 2000.0))
"""Up to 2 kHz bands of 250 Hz, up to 4 kHz of 500 Hz, above of 2 kHz: 14 bands at 16 kHz."""


def band_edges(
    freq: int, sample_rate: int, layout: Sequence[Sequence[float | int]] = SPEECH
) -> tuple[tuple[int, int], ...]:
    """Return the (first, one past last) bin of each band; together they cover every bin once.

    Args:
        freq: number of bins, from 0 to half the sample rate.
        sample_rate: in hertz.
        layout: pairs (up to, width) in hertz, in rising order; what lies above the last is one more band.

    Raises:
        UserError: a layout that does not rise.
        IncompatibleStages: widths below one bin of the frontend.
    """
    hertz = sample_rate / 2 / max(1, freq - 1)
    edges, start = [], 0
    tops = [top for top, _ in layout]
    if tops != sorted(set(tops)) or not tops or min(tops) <= 0:
        raise UserError(f"band_split: the upper ends of the bands {tops} must be above 0 and rise")
    for top, width in layout:
        bins = round(width / hertz)
        if bins < 1:
            raise IncompatibleStages(
                f"band_split: a band of {width} Hz is less than one bin of {hertz:.1f} Hz; the frontend gives {freq}. "
                "Choose one of more frequencies, or a layout of wider bands"
            )
        while start < freq and start * hertz < top - 1e-6:
            edges.append((start, min(start + bins, freq)))
            start = edges[-1][1]
    if start < freq and freq - start <= 1 and edges:
        edges[-1] = (edges[-1][0], freq)  # the bin at half the sample rate is no band of its own
    elif start < freq:
        edges.append((start, freq))
    return tuple(edges)
