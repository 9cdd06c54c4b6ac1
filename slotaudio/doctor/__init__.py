"""What is installed, what of it works, and how to mend what does not; works where torch does not."""

from slotaudio.doctor.checks import Finding, diagnose

__all__ = ["Finding", "diagnose"]
