"""Hypothesis profiles and one thread per test process, so that timings and sums repeat."""

import os

import torch
from hypothesis import Phase, settings

# explaining a failure traces every line of torch that it ran: minutes for a hint that a seed gives as well
PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("dev", max_examples=15, deadline=None, phases=PHASES)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, phases=PHASES)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

torch.set_num_threads(1)
