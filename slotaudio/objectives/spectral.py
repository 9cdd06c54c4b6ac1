"""Multi-resolution spectral distance of matched waves: what waves alone forgive, the ear does not."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

RESOLUTIONS = (512, 1024, 2048)
"""Windows in samples; each hops by a quarter of itself."""

_POWER = 1e-7
"""What every cell holds at least, so that logarithm and root have finite gradients."""


def multi_resolution(
    estimates: Float[Tensor, "rows sources channels time"],
    references: Float[Tensor, "rows sources channels time"],
    windows: Sequence[int] = RESOLUTIONS,
) -> Float[Tensor, "rows sources"]:
    """Return spectral convergence plus log-magnitude distance, the mean over several windows; 0 where both are equal.

    Yamamoto et al. 2020 (Parallel WaveGAN, arXiv 1910.11480, equations 3 to 6): ``‖|S| - |Ŝ|‖ / ‖|S|‖`` and the mean of
    ``|log|S| - log|Ŝ||``. A silent reference has no convergence, and should be left out of what is minimised.

    Args:
        estimates, references: matched, in full scale; clips shorter than a window are padded with silence.
        windows: of the transforms, in samples.
    """
    distances = []
    for window in windows:
        found, wanted = _magnitudes(estimates, window), _magnitudes(references, window)
        convergence = torch.linalg.vector_norm(wanted - found, dim=2) / torch.linalg.vector_norm(wanted, dim=2)
        distances.append(convergence + (wanted.log() - found.log()).abs().mean(dim=2))
    return torch.stack(distances).mean(dim=0)


def _magnitudes(waves: Float[Tensor, "rows sources channels time"], window: int) -> Float[Tensor, "rows sources cells"]:
    shape = torch.hann_window(window, dtype=waves.dtype, device=waves.device)
    spectra = torch.stft(
        waves.flatten(0, 2), window, window // 4, window=shape, pad_mode="constant", return_complex=True
    )
    power = torch.view_as_real(spectra).square().sum(-1)
    return power.clamp_min(_POWER).sqrt().unflatten(0, waves.shape[:3]).flatten(2)
