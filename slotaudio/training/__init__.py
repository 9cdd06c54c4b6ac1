"""Training on the Lightning Trainer (``pip install "slotaudio[train]"``)."""
