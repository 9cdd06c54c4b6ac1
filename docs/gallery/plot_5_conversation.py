"""
Slots through time: a conversation
==================================

Short clips hide the hard question: when two people talk for minutes, fall silent and come back, does each of them stay
the same output? This tutorial makes a conversation, separates it and measures that.
"""

import torch

from slotaudio import Separator, Spec, build
from slotaudio.listening import players

# %%
# A conversation
# --------------
# The data set ``conversations`` lets speakers of a folder take turns, with gaps, overlaps and pauses. An item
# knows who speaks when.

conversations = build("dataset", Spec("conversations", path="bundled:dev", seconds=40.0, overlap=0.25, seed=3))
conversation = conversations.conversation(0)
mixture, sources, metadata = conversations[0]
print(f"{len(metadata['turns'])} turns of {', '.join(metadata['speakers'])}; overlap {metadata['overlap']:.0%}")

# %%

players({"conversation": mixture}, 16000)

# %%
# Perfect slots in no order
# -------------------------
# First with slots that know the answer, but come in a new order in every window, as those of a set may. Were
# they just put side by side, each output would jump from voice to voice. Joining follows each slot over the
# samples that neighbouring windows share, and recognises a voice after a pause.

from slotaudio.identity import identity_score
from slotaudio.separation.oracle import oracle


def outputs(joining):
    """Separate with the oracle, its slots shuffled anew in every window."""
    model = oracle(sources[None], shuffle=torch.Generator().manual_seed(0))
    separator = Separator(model, joining=joining)
    model.decoder.rewind(separator.framing)
    return separator(mixture, 16000).sources


for joining in ("given", "overlap"):
    found = identity_score(outputs(joining)[:, 0], sources[:, 0], 16000)
    print(
        f"{joining:<8} right windows {found.right_windows:.0%}, right joins {found.right_joins:.0%}, "
        f"swaps {found.swaps}, SI-SDRi {found.si_sdri:.1f} dB"
    )

# %%
# Right joins are the share of neighbouring windows in which every voice stays where it was. Note what the metric of
# separation alone would not have told you.
#
# A model that learned
# --------------------
# Now the model that ships, seen as a whole: every cell of the spectrogram in the colour of the slot that owns
# it, a lane for every output, and below who really spoke, in the colour of the output that should hold the voice.
# Where voices may have changed places it is hatched.

from slotaudio.plotting import PowerMap, SlotHistory, identity_figure, timeline_figure

separator = Separator.from_pretrained()
history = SlotHistory()
separated = separator(mixture, 16000, observer=history)
estimates = separated.sources
found = identity_score(estimates[:, 0], sources[:, 0], 16000)


def power(wave):
    """Summarise a wave of any length for a picture."""
    summary = PowerMap(16000)
    summary.push(wave)
    return summary


timeline_figure(
    power(mixture),
    [power(wave) for wave in estimates],
    turns=metadata["turns"],
    assignment=dict(zip(metadata["speakers"], found.assignment, strict=True)),
    doubtful=separated.doubtful,
)

# %%
# And the slots themselves: their vectors over time in the plane in which they differ most, and how often each
# slot of the model became which output.

times = history.times(separator.framing.window / separator.sample_rate)
identity_figure(history.vectors, times, history.shares, weights=history.heard)

# %%

print(f"right joins {found.right_joins:.0%}, swaps {found.swaps}, SI-SDRi {found.si_sdri:.1f} dB")
players(estimates, 16000)

# %%
# Slots that live on
# ------------------
# Joining mends what the model forgot. ``carry_over`` lets a model remember: the slots of one window start the
# next (as in SAVi, arXiv 2111.12594), so that a slot is the same voice by construction. It wraps any
# bottleneck, and because the carried slots are part of what a call returns, a stream and a whole recording
# compute the same.

from slotaudio import preset

model = preset("audioslots-small", bottleneck=Spec("carry_over", bottleneck="slot_attention"))
windows = torch.randn(1, 6, 1, model.window_samples)  # batch steps channels time
with torch.no_grad():
    whole = model(windows).slots.vectors
    first = model(windows[:, :4]).slots
    rest = model(windows[:, 4:], initial=first.carried).slots
print(f"largest difference: {(whole[:, 4:] - rest.vectors).abs().max():.1e}")

# %%
# Train it on clips of several seconds, so that there is something to remember (``--set data.train.seconds=4.0``), and
# compare it with others on long recordings::
#
#     slotaudio evaluate runs/mine/model path/to/speech/dev --long 10
#
# What joining and carrying are worth is among the :doc:`results </results/README>`.
