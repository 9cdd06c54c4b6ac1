"""
Reproduce AudioSlots
====================

AudioSlots (Reddy et al. 2023, arXiv 2305.05591) is the system that this framework grew from. This page holds the paper
and the code side by side, measures what can be measured in seconds, and says how to do the rest.
"""

import torch

from slotaudio import preset

# %%
# The system
# ----------
# ``audioslots`` is the paper's at the paper's sizes. Here it is made without memory for its weights, to count them.

with torch.device("meta"):
    model = preset("audioslots")

for name, spec in model.specs.items():
    stage = getattr(model, name)
    weights = sum(p.numel() for p in stage.parameters()) / 1e6 if isinstance(stage, torch.nn.Module) else 0
    options = ", ".join(f"{key}={value}" for key, value in spec.options.items())
    print(f"{name:<11}{weights:>6.1f} M  {spec.name}  {options}")

# %%
# The paper gives the encoder's grid for a window of 0.5 s, 32 x 8. A ResNet that does not pool in its root divides by
# eight, which makes a spectrogram of 256 bands and 64 frames. The small version has the same grids:

small = preset("audioslots-small", frontend={"framing": "end_pad"})
window = torch.randn(1, 1, small.window_samples)
spectrum = small.frontend(window)
print("spectrum", tuple(spectrum.values.shape[-2:]))
print("tokens  ", small.encode(window).tokens.shape[2], "= 32 x 8")

# %%
# Where the paper is silent, the recipe says what was chosen, and the docstrings of the components say why:
# :doc:`resnet </reference/components/encoders/resnet>`,
# :doc:`transformer </reference/components/bottlenecks/transformer>`,
# :doc:`spatial_broadcast </reference/components/decoders/spatial_broadcast>`,
# :doc:`supervised </reference/components/objectives/supervised>`. :doc:`Papers </reference/papers>` has all of it in
# one table.
#
# The framing
# -----------
# 256 x 64 is no ordinary STFT of 8000 samples. Only windows that are padded at their end, without their highest
# bin, give it. For use, ``centred`` is better: it can be inverted exactly.

for framing in ("end_pad", "centred"):
    frontend = preset("audioslots-small", frontend={"framing": framing}).frontend
    spectrum = frontend(window)
    error = (frontend.inverse(spectrum.values, spectrum.length) - window).square().mean() / window.square().mean()
    print(f"{framing:<8} {tuple(spectrum.values.shape[-2:])}  error of the inverse {10 * error.log10():.0f} dB")

# %%
# (White noise is the hardest case: it has energy in the highest bin, which ``end_pad`` drops.)
#
# The ceiling
# -----------
# Table 1 of the paper has rows of ideal masks. They need no training, so they can be measured at once, here on
# the three mixtures of the demo. They are also the sharpest test of a framing: :doc:`oracle rows
# </results/oracle_rows>` has them for many.

import subprocess
import sys

from slotaudio.data.bundled import demo_list

table = [
    *(sys.executable, "-m", "slotaudio", "evaluate", "oracle", "bundled", "--list", str(demo_list())),
    *("--windows", "0.5,1.0", "--oracle", "ibm,wiener", "--joining", "reference", "--quiet"),
    *("--set", "frontend.framing=end_pad"),
]
done = subprocess.run(table, capture_output=True, text=True, check=True)
print(done.stdout)

# %%
# The rest
# --------
# Train it, on a folder of speech, or on the very mixtures of the paper
# (:doc:`librimix </reference/components/datasets/librimix>`)::
#
#     slotaudio train audioslots --set data.train.path=path/to/train --set data.validation.path=path/to/dev
#     slotaudio train audioslots-small ...          # on two CPU cores
#
# Fill in Table 1: both masks, both ways of joining, the oracle. The row of the autoencoder (``n = 1``: each
# clean source by itself) tells what is lost in the bottleneck from what is lost in separating::
#
#     slotaudio evaluate runs/audioslots/model path/to/speech/dev --table1 --autoencoder runs/autoencoder/model
#
# What was reached is among the :doc:`results </results/README>`, with the commands.
