"""
PASE features
=============

PASE (Pascual et al. 2019, arXiv 1904.03416) learns features of speech without labels: an encoder has to answer many
questions about a wave at once, so that what it keeps is useful for many things. The package ``slotaudio-pase`` brings
encoder, questions and training.

::

    pip install slotaudio slotaudio-pase
"""

import torch

from slotaudio import Spec, build, compose
from slotaudio.data.bundled import speech
from slotaudio.listening import players

utterances = build("dataset", Spec("folder", path=str(speech("dev")), seconds=3.0, sources=1))
wave, _, metadata = utterances[0]
players({metadata["speakers"][0]: wave}, 16000)

# %%
# An encoder, and nothing else
# ----------------------------
# ``bottleneck=None, decoder=None`` composes a model that only encodes: 100 numbers for every 10 ms. No trained
# weights ship with the package, so these are the features of an encoder that has seen nothing yet.

model = compose(frontend="waveform", encoder="pase", bottleneck=None, decoder=None, window=None)
with torch.no_grad():
    tokens = model.encode(wave[None]).tokens
tokens.shape  # batch steps tokens dim

# %%
# The questions
# -------------
# A *worker* is a small network that sees the features of each moment and answers one question. Some are asked
# for what signal processing knows of the wave: its spectrum, its cepstrum, its pitch and loudness.

from matplotlib.figure import Figure

from slotaudio.plotting import spectrogram
from slotaudio_pase.targets import Cepstrum, LogPower, Prosody

window = 400  # 25 ms
questions = {
    "log power spectrum": LogPower(16000, window)(wave)[0],
    "MFCC": Cepstrum(16000, window)(wave)[0, 1:],
}
prosody = Prosody(16000, window)(wave)[0]

figure = Figure(figsize=(10, 8), layout="constrained")
panels = figure.subplots(4, 1)
spectrogram(panels[0], wave, 16000)
panels[0].set_title("the wave", loc="left")
panels[0].set_ylabel("frequency (kHz)")
for axes, (name, values) in zip(panels[1:], questions.items(), strict=False):
    axes.imshow(values, origin="lower", aspect="auto", cmap="magma", extent=(0, 3, 0, len(values)))
    axes.set_title(f"question: {name}", loc="left")
    axes.set_ylabel("row")
panels[3].plot(torch.arange(prosody.shape[-1]) / 100, prosody[0], color="#e8590c")
panels[3].set_title("question: prosody, of which this is the first row", loc="left")
panels[3].set(xlim=(0, 3), xlabel="time (s)", ylabel="log of pitch in Hz")
figure

# %%
# Others are asked to tell pairs apart: are these two moments of one utterance (``lim``, ``gim``)? Is that what
# comes after, or before (``spc``)? For those, a second speaker is needed, which mixtures bring along.
#
# Train
# -----
# The objective ``pase`` holds the workers. One call answers all questions for all sources of a batch; the
# losses come back by name.

from slotaudio.data.batches import collate

pairs = build("dataset", Spec("folder", path=str(speech("train")), seconds=2.2, sources=2, seed=1))
small = compose(frontend="waveform", encoder=Spec("pase", width=16), bottleneck=None, decoder=None, window=None)
workers = ["lps", "mfcc", "lim", "gim", "spc"]
objective = build("objective", Spec("pase", workers=workers, hidden=32), in_dim=100, sample_rate=16000)
losses = objective(small, collate([pairs[0], pairs[1]]))
for name, value in losses.items():
    print(f"{name:<14}{value.item():6.2f}")

# %%
# Nothing was learned yet: what is asked of regressors is normalised, so that their losses begin near 1, and pairs are
# told apart no better than by chance (a loss of 0.69, an accuracy of 0.5). ``loss`` is what an optimiser makes less.
#
# The real thing is a recipe. ``pase-small`` is made for a CPU core, ``pase`` has the paper's sizes::
#
#     slotaudio train pase --set data.train.path=path/to/speech --set data.validation.path=path/to/others
#
# Use
# ---
# Features of any recording, for any classifier of yours, as arrays::
#
#     slotaudio embed talk.wav -o features --model runs/pase/model
#
# The encoder is a component like any other: slots can be bound to its tokens, trained or frozen.

with torch.no_grad():
    slots = compose(frontend="waveform", encoder="pase", bottleneck="slot_attention", decoder=None)
    features = slots.encode(wave[None, :, :8000])
    found = slots.bottleneck(features, slots.initial_slots(1))
found.vectors.shape  # batch steps slots dim

# %%
# Whether features tell who speaks is measured by a linear classifier on top of them, beside MFCC and an untrained
# encoder: ``slotaudio probe``, and the :doc:`results </results/README>`.
