"""Hypothesis profiles and one thread per test process, so that timings and sums repeat."""

import os

import torch
from hypothesis import settings

settings.register_profile("dev", max_examples=15, deadline=None)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

torch.set_num_threads(1)
