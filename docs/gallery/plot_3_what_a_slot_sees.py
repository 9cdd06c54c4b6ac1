"""
What a slot sees
================

A slot is a vector that stands for one source in one window. Nobody tells it which. This tutorial looks at where slots
look, and shows the law that makes them interchangeable.
"""

import torch
from matplotlib.figure import Figure

from slotaudio import Separator, Spec, build
from slotaudio.data.bundled import demo_list
from slotaudio.plotting import SLOT_COLOURS, attention_map, attention_overlay, spectrogram

mixtures = build("dataset", Spec("folder", path="bundled:dev", seconds=None, mixtures=demo_list()))
mixture, sources, _ = mixtures[1]
mixture, sources = mixture[..., : 4 * 16000], sources[..., : 4 * 16000]
separator = Separator.from_pretrained()
model = separator.model

# %%
# Attention
# ---------
# The bottleneck turns the features of a window into slots by attention: each slot attends to the tokens,
# a token being a small patch of the spectrogram (or one frame of it). Laid over the mixture, its weights show
# where a slot looked.

observations = []
estimates = separator(mixture, 16000, observer=observations.append).sources
attention = attention_map(observations, separator.framing.window / separator.sample_rate, 4.0)

figure = Figure(figsize=(10, 2.6 * (1 + len(estimates))), layout="constrained")
panels = figure.subplots(1 + len(estimates), 1, sharex=True)
top = spectrogram(panels[0], mixture, 16000)
panels[0].set_title("mixture", loc="left")
for slot, axes in enumerate(panels[1:]):
    spectrogram(axes, mixture, 16000, top, "gray_r")
    if attention is not None:
        attention_overlay(axes, attention[slot], SLOT_COLOURS[slot], 4.0, 8.0)
    axes.set_title(f"slot {slot + 1}: where it looked", loc="left", color=SLOT_COLOURS[slot])
panels[-1].set_xlabel("time (s)")
for axes in panels:
    axes.set_ylabel("frequency (kHz)")
figure

# %%
# Do not read it as a mask. A slot may look at a neighbour to learn what to leave out, and what it gives is
# decided later, by the decoder. Attention is for pictures and tests; sources come from the estimates.
#
# Slots have no order
# -------------------
# A window is encoded once. Then the slots start from ``initial`` vectors: learned queries, noise, or the slots of the
# window before. Give them to the bottleneck in another order, and the same slots come out in that order. Nothing else
# changes.

window = mixture[None, None, :, : separator.framing.window]
initial = model.initial_slots(1)
with torch.no_grad():
    straight = model(window, initial)
    swapped = model(window, initial.flip(1))

difference = (straight.slots.vectors.flip(2) - swapped.slots.vectors).abs().max()
print(f"slots, swapped back: largest difference {difference:.1e}")
difference = (model.sources(straight).flip(2) - model.sources(swapped)).abs().max()
print(f"sources, swapped back: largest difference {difference:.1e}")

# %%
# This law is a test for every bottleneck and decoder, those of plug-ins included (:py:obj:`slotaudio.testing`).
# It is why slots have to be matched to sources in training, and joined from window to window afterwards.
#
# Who is who
# ----------
# Training compares every slot with every source, here by the SI-SDR of their waves, and then gives each source the
# slot that makes the sum least. The frames mark what the matcher chose.

from slotaudio.objectives.costs import si_sdr
from slotaudio.plotting import assignment_figure

cost = si_sdr(estimates[None], sources[None], mixture[None])
chosen = model.matcher(cost)
assignment_figure(-cost[0], chosen[0], label="SI-SDR (dB)")

# %%
# To see slots for minutes instead of seconds, go on with :doc:`plot_5_conversation`.
