"""
Compose a model
===============

A model is a chain of five components, each chosen by name: a frontend makes a spectrum of the wave, an encoder makes
features of the spectrum, a bottleneck makes slots of the features, a decoder makes estimates of the slots, and a
matcher says, in training, which slot belongs to which source.
"""

import torch

from slotaudio import Spec, compose

model = compose(
    frontend="stft",
    encoder=Spec("resnet", depth=10, width=16),
    bottleneck=Spec("transformer", slot_dim=128, qkv_dim=128, mlp_dim=256),
    decoder=Spec("spatial_broadcast", hidden=128, patch=[4, 4]),
    matcher="hungarian",
    slots=3,
)

# %%
# No dimension is written twice. That the bottleneck reads vectors of width 128 (eight times the encoder's 16),
# and that the decoder gets slots of width 128, is threaded from stage to stage.
#
# From a wave to sources
# ----------------------
# A call takes windows, with the axes ``batch steps channels time``, and returns everything that was computed on
# the way.

windows = torch.randn(1, 1, 1, model.window_samples)
with torch.no_grad():
    prediction = model(windows)
    sources = model.sources(prediction)

for name, value in {
    "spectrum    batch channels freq frames": prediction.spectrum.values,
    "tokens      batch steps tokens dim": prediction.features.tokens,
    "slots       batch steps slots dim": prediction.slots.vectors,
    "attention   batch steps slots tokens": prediction.slots.attention,
    "magnitudes  batch slots channels freq frames": prediction.estimates.magnitudes,
    "sources     batch steps slots channels time": sources,
}.items():
    print(f"{name:<46} {tuple(value.shape)}")

# %%
# Where the weights are:

for name in ("frontend", "encoder", "bottleneck", "decoder"):
    count = sum(parameter.numel() for parameter in getattr(model, name).parameters())
    print(f"{name:<12}{count:>10,}")

# %%
# Change one stage
# ----------------
# AudioSlots' bottleneck is a transformer with learned queries. Slot Attention is another one: slots compete for the
# tokens, round after round. With ``initial="gaussian"`` its slots start from noise, and their number may change after
# training.

model = compose(
    encoder=Spec("resnet", depth=10, width=16),
    bottleneck=Spec("slot_attention", iterations=5, initial="gaussian"),
    decoder=Spec("spatial_broadcast", hidden=128, patch=[4, 4]),
    slots=4,
)
generator = torch.Generator().manual_seed(7)
with torch.no_grad():
    prediction = model(windows, generator=generator)
prediction.slots.vectors.shape

# %%
# Randomness is an argument everywhere: the same generator gives the same slots.
#
# Three spellings
# ---------------
# ``Spec("slot_attention", iterations=5)``, the mapping ``{"name": "slot_attention", "iterations": 5}`` and, in
# a recipe, ::
#
#     [bottleneck]
#     name = "slot_attention"
#     iterations = 5
#
# mean the same. :py:obj:`slotaudio.preset` starts from a recipe and changes what you name:

from slotaudio import preset

model = preset("audioslots-small", bottleneck="slot_attention", frontend={"framing": "centred"})
model.bottleneck.iterations, model.frontend.framing

# %%
# What does not fit is said before anything is computed
# -----------------------------------------------------
# The signature of a component is its schema. An option that it does not take, a name that nobody offers, stages
# that do not fit together: each is answered with what is possible.

from slotaudio import UserError

for wrong in (
    {"bottleneck": Spec("slot_attention", iterations="many")},
    {"encoder": "resnet34"},
    {"frontend": "waveform"},
):
    try:
        compose(**wrong)
    except UserError as error:
        print(error, end="\n\n")

# %%
# Save and load
# -------------
# A saved model is a folder: the weights as safetensors, the composition as JSON, a model card to fill in.
# Loading never unpickles, and says which package is missing if a component came from a plug-in.

import tempfile
from pathlib import Path

from slotaudio import Separator

with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    print(*sorted(path.name for path in Path(folder).iterdir()))
    separator = Separator.from_pretrained(folder)

# %%
# It separates recordings of any length, and does it badly: it has learned nothing yet. :doc:`plot_4_train` is next.
# All that can be chosen is among the :doc:`components </reference/components/index>`.
