"""Pictures: what went in, where the slots looked, who was heard when, what came out. Figures are returned, never shown.

Only `matplotlib.figure.Figure` is used, no global state: these functions work in threads, servers and loggers. What is
drawn of a long recording comes from summaries of constant size (`slotaudio.plotting.summaries`).
"""

from slotaudio.plotting.assignment import assignment_figure, assignment_matrix
from slotaudio.plotting.attention import attention_map, attention_overlay
from slotaudio.plotting.colours import SLOT_COLOURS, slot_colour
from slotaudio.plotting.recording import RecordingPictures
from slotaudio.plotting.saving import pixels, save
from slotaudio.plotting.separation import separation_figure
from slotaudio.plotting.spectrograms import spectrogram
from slotaudio.plotting.summaries import Digest, PowerMap, SlotHistory
from slotaudio.plotting.timeline import timeline_figure
from slotaudio.plotting.trajectories import identity_figure, project, trajectories

__all__ = [
    "SLOT_COLOURS",
    "Digest",
    "PowerMap",
    "RecordingPictures",
    "SlotHistory",
    "assignment_figure",
    "assignment_matrix",
    "attention_map",
    "attention_overlay",
    "identity_figure",
    "pixels",
    "project",
    "save",
    "separation_figure",
    "slot_colour",
    "spectrogram",
    "timeline_figure",
    "trajectories",
]
