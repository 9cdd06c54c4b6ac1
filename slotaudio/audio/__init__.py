"""Audio files through soundfile. Waves are `channels time` tensors, float32, full scale at -1 and 1."""

from slotaudio.audio.reading import AudioInfo, AudioReader, check_finite, info, read
from slotaudio.audio.writing import AudioWriter, write

__all__ = ["AudioInfo", "AudioReader", "AudioWriter", "check_finite", "info", "read", "write"]
