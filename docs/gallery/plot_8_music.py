"""
Music: slots with names
=======================

Voices in a room have no order; the stems of a song do. With the package ``slotaudio-music``, a slot is *the drums* and
stays it. This tutorial makes a little music, and lets the end-to-end separator learn it by heart.

::

    pip install slotaudio slotaudio-music
"""

# sphinx_gallery_thumbnail_number = 2
import math

import torch

from slotaudio.listening import players

# %%
# Four stems
# ----------
# No music ships with slotaudio, so here are two bars from oscillators: a beat, a bass, chords and a voice of sorts.

RATE = 16000
BEAT = RATE // 2


def tone(frequency, samples, partials=4, decay=3.0):
    """A plucked note."""
    time = torch.arange(samples) / RATE
    waves = sum(torch.sin(2 * math.pi * frequency * n * time) / n for n in range(1, partials + 1))
    return 0.3 * waves * torch.exp(-decay * time)


noise = torch.randn(8, BEAT, generator=torch.Generator().manual_seed(0))
decay = torch.exp(-torch.arange(BEAT) / 400)
drums = torch.cat([0.2 * hit * decay for hit in noise])
bass = torch.cat([tone(f, BEAT) for f in (55, 55, 82.4, 55, 65.4, 65.4, 98, 65.4)])
other = torch.cat([sum(tone(f, 4 * BEAT, 3, 1.0) for f in chord) / 3 for chord in ((220, 277, 330), (262, 330, 392))])
glide = 440 * 2 ** (torch.sin(2 * math.pi * 5 * torch.arange(8 * BEAT) / RATE) / 24)
vocals = 0.15 * torch.sin(2 * math.pi * torch.cumsum(glide, 0) / RATE)
stems = torch.stack([drums, bass, other, vocals])[:, None]  # sources channels time
names = ["drums", "bass", "other", "vocals"]
mixture = stems.sum(0)

players({"mixture": mixture, **dict(zip(names, stems, strict=True))}, RATE)

# %%
# The separator
# -------------
# The model of the recipe ``music`` (Wang et al. 2023, doi 10.1049/cit2.12163) works on waves from end to end: a
# dense 1-D U-Net, a transformer that reads within and across stretches in turn, and a decoder that every stem
# goes through by itself. Small enough for a page, it is:

from slotaudio import Spec, compose

model = compose(
    frontend=Spec("waveform", sample_rate=RATE),
    encoder=Spec("music_unet", width=8, strides=[4, 4, 4]),
    bottleneck=Spec("dual_path_transformer", slot_dim=48, dim=48, blocks=1, heads=4, hidden=32),
    decoder="music_unet",
    matcher="fixed",
    slots=4,
    window=None,
    names=names,
)
print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")

# %%
# Two choices make stems of slots: the matcher ``fixed`` gives source *n* slot *n*, so that each learned query
# comes to mean one stem; and ``names`` says what they mean, so that outputs are called by their names and never
# reordered.
#
# Learn two bars by heart
# -----------------------
# The objective ``relative_mse`` counts a quiet sample as much as a loud one. A real training takes MUSDB18-HQ
# and days; this one takes the same four seconds again and again, to see that everything fits together.

from slotaudio import build
from slotaudio.types import Batch

objective = build("objective", Spec("relative_mse", l1_weight=1.0))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
generator = torch.Generator().manual_seed(0)
losses = []
for _ in range(100):
    start = int(torch.randint(stems.shape[-1] - RATE, (), generator=generator))
    sources = stems[None, ..., start : start + RATE]
    loss = objective(model, Batch(sources.sum(1), sources))["loss"]
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    losses.append(loss.item())

from matplotlib.figure import Figure

figure = Figure(figsize=(9, 2.8), layout="constrained")
axes = figure.subplots()
axes.plot(losses, color="#1971c2")
axes.set(xlabel="step", ylabel="loss", xlim=(0, len(losses)))
axes.spines[["top", "right"]].set_visible(False)
figure

# %%
# Listen
# ------

from slotaudio import Separator, metrics
from slotaudio.plotting import separation_figure

separated = Separator(model)(mixture, RATE)
before = metrics.sdr(mixture.expand(4, -1), stems[:, 0]).tolist()
after = metrics.sdr(separated.sources[:, 0], stems[:, 0]).tolist()
captions = [f"{n}: SDR {x:.1f} dB (mixture {y:.1f})" for n, x, y in zip(names, after, before, strict=True)]
separation_figure(mixture, separated.sources, RATE, references=stems, captions=captions)

# %%

players(dict(zip(names, separated.sources, strict=True)), RATE)

# %%
# An SDR of 0 dB is what silence scores: a stem whose output is quiet and near 0 dB has not been found yet. Some seconds
# of training give outlines at best. With MUSDB18-HQ::
#
#     slotaudio train music --set data.train.path=path/to/musdb18hq --set data.validation.path=path/to/musdb18hq
#     slotaudio separate song.mp3 --model runs/music/model -o stems     # song_drums.wav, song_bass.wav, ...
#     slotaudio stems-sdr runs/music/model path/to/musdb18hq
#
# The :doc:`components </reference/components/index>` of this model have pages of their own, and
# the :doc:`results </results/README>` what was measured.
