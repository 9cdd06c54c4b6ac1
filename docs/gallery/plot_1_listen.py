"""
Listen: one mixture, two slots
==============================

Separate a mixture of two people, look at it and listen to it. The speech ships with slotaudio; none of these voices was
used to train the model.
"""

import torch

from slotaudio import Separator, Spec, build, metrics
from slotaudio.data.bundled import demo_list
from slotaudio.listening import players
from slotaudio.plotting import attention_map, separation_figure

# %%
# A data set gives mixtures together with the sources that they are made of: the ``mixture`` has the axes
# ``channels time``, the ``sources`` have ``sources channels time``.

mixtures = build("dataset", Spec("folder", path="bundled:dev", seconds=None, mixtures=demo_list()))
mixture, sources, metadata = mixtures[0]
mixture.shape, sources.shape

# %%
# Separating is a call. The ``observer`` is handed what the model saw in each window; it is not needed, but we want to
# see where the slots looked.

separator = Separator.from_pretrained()
observations = []
separated = separator(mixture, 16000, observer=observations.append)
separated.sources.shape  # slots channels time

# %%
# Which slot took which voice is not fixed: slots are a set. To compare with the true sources, they have to be matched
# first. ``score`` does it once for the whole recording, by the matcher that training uses.

score = metrics.score(separated.sources[None], sources[None], mixture[None])
order = score.assignment[0]  # for every source its slot
gains = score.values["si_sdr_i"][0]
estimates = separated.sources[order]

window = separator.framing.window / separator.sample_rate
attention = attention_map(observations, window, mixture.shape[-1] / 16000)
separation_figure(
    mixture,
    estimates,
    16000,
    references=sources,
    attention=None if attention is None else attention[order],
    captions=[f"SI-SDRi {gain:+.1f} dB" for gain in gains],
)

# %%
# And heard:

players(estimates, 16000, mixture=mixture)

# %%
# The figure that counts is the improvement of the scale-invariant signal-to-distortion ratio (SI-SDRi): by how
# many decibels a source stands out more than in the mixture. What to expect of this model, on how many voices
# it was measured and where it fails is on its :doc:`card </models/index>`.
#
# What would be possible
# ----------------------
# An *oracle* cuts its masks from the magnitudes of the true sources. A model that estimates such masks can do no
# better, however well it is trained (one of complex masks could). The oracle goes through windows, masks and joining
# as a model does.

from slotaudio.separation.oracle import oracle

perfect = oracle(sources[None])
best = Separator(perfect)
perfect.decoder.rewind(best.framing)
ideal = best(mixture, 16000).sources
ceiling = metrics.score(ideal[None], sources[None], mixture[None])
print(f"this model {gains.mean():+.1f} dB, oracle {ceiling.mean('si_sdr_i').item():+.1f} dB")

# %%

players(ideal[ceiling.assignment[0]], 16000)

# %%
# Noise is left out
# -----------------
# The outputs have the length, the rate and the level of the mixture. They add up to it, but for what the model takes
# for noise; with ``keep_noise=True`` nothing is lost. Here is the same mixture with noise ten decibels below it:

from slotaudio.data.acoustics import synthetic_noise

noise = synthetic_noise(mixture.shape[-1], torch.Generator().manual_seed(0))[None]
noisy = mixture + noise * (mixture.norm() / noise.norm()) * 10 ** (-10 / 20)
heard = {keep: Separator(separator.model, keep_noise=keep)(noisy, 16000).sources for keep in (True, False)}
for keep, outputs in heard.items():
    above = 20 * (mixture.norm() / (outputs.sum(0) - mixture).norm()).log10().item()
    print(f"keep_noise={keep}: both voices together are {above:.1f} dB above what else is in the outputs")

# %%

players(heard[False], 16000, mixture=noisy)

# %%
# The same on the command line, on a recording of your own::
#
#     slotaudio separate talk.mp3 -o separated --plot
