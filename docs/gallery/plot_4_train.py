"""
Train on your own folder
========================

All that training needs is a folder of speech with one folder per speaker. Mixtures are made on the fly; no two
are alike.
"""

# %%
# The folder
# ----------
# ::
#
#     speech/
#         anna/          one folder per speaker, whatever it is called
#             001.flac   FLAC, WAV, Ogg or MP3, at 16 kHz
#             002.flac
#         ben/
#             ...
#
# LibriSpeech and VCTK fit as they are. Here, the bundled speech stands in for yours: eight speakers to train with and
# six others to validate with.

import tempfile
from pathlib import Path

from slotaudio import Spec, build
from slotaudio.data.bundled import speech
from slotaudio.listening import players

for folder in sorted(speech("train").iterdir()):
    print(folder.name, *(file.name for file in sorted(folder.glob("*.flac"))))

# %%
# A mixture is a function of the seed, the epoch and its number. Listen to one:

mixtures = build("dataset", Spec("folder", path=str(speech("train")), seconds=4.0))
mixture, sources, metadata = mixtures[0]
players({"mixture": mixture, "source 1": sources[0], "source 2": sources[1]}, 16000)

# %%
# The recipe
# ----------
# A recipe is one TOML file: model, data and training in the words of :py:obj:`slotaudio.compose`. This one is
# tiny, so that it trains while this page is made.

recipe = """
about = "A few seconds of training"

[model]
slots = 2
window = 0.5

[frontend]
name = "stft"
framing = "centred"

[encoder]
name = "resnet"
depth = 10
width = 8

[bottleneck]
name = "slot_attention"
slot_dim = 64

[decoder]
name = "spatial_broadcast"
hidden = 64
waves = [6, 4]
patch = [4, 4]

[data.train]
name = "folder"
path = "bundled:train"

[data.validation]
name = "folder"
path = "bundled:dev"
seconds = 2.0
size = 4
fixed = true      # the same mixtures every time

[train]
steps = 40
batch_size = 8
learning_rate = 1e-3
warmup_steps = 10
validate_every = 40
log_every = 2
device = "cpu"
"""

folder = Path(tempfile.mkdtemp())
with open(folder / "tiny.toml", "w", encoding="utf-8") as file:
    file.write(recipe)

# %%
# Train
# -----
# On the command line this is ``slotaudio train tiny.toml``; your own folder goes in by
# ``--set data.train.path=path/to/speech``. The same in Python:

from slotaudio.recipe import load_recipe
from slotaudio.training.run import train

run = folder / "run"
trained = train(load_recipe(folder / "tiny.toml"), run)
print(f"{trained.step} steps; best {trained.metric}: {trained.score:.2f} at step {trained.score_step}")

# %%
# The run's folder holds everything, so that training can be stopped at any step and resumed exactly
# (``slotaudio train tiny.toml --resume``):

for path in sorted(run.rglob("*")):
    if path.is_file() and "tensorboard" not in path.parts:
        print(path.relative_to(run))

# %%
# The loss, read from the log. (TensorBoard shows more: ``tensorboard --logdir runs``.)

import csv

from matplotlib.figure import Figure

rows = [row for log in sorted(run.rglob("metrics.csv")) for row in csv.DictReader(log.open())]
steps = [int(row["step"]) for row in rows if row.get("train/loss")]
losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]

figure = Figure(figsize=(9, 3), layout="constrained")
axes = figure.subplots()
axes.plot(steps, losses, color="#1971c2")
axes.set(xlabel="step", ylabel="loss", xlim=(0, 40))
axes.spines[["top", "right"]].set_visible(False)
figure

# %%
# A falling loss is all that some seconds can show. To get a model worth listening to takes hours and more voices: the
# :doc:`results </results/README>` say what was reached with how much.
#
# Use it
# ------
# The run's model is a folder like any other saved model, and comes with a card that says how it was made.

from slotaudio import Separator

separator = Separator.from_pretrained(trained.model)
print((trained.model / "README.md").read_text()[:600])

# %%
# ::
#
#     slotaudio separate talk.mp3 -o separated --model run/model
#     slotaudio evaluate run/model path/to/speech/dev --oracle wiener
#
# Next: :doc:`data sets of your own </howto/own-data>`, :doc:`fine-tuning </howto/fine-tune>`,
# :doc:`several GPUs </howto/several-gpus>`.
