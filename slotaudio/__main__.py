"""Run the command line with `python -m slotaudio`."""

from slotaudio.cli import main

if __name__ == "__main__":
    main()
