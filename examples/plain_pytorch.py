"""Train in ten lines of plain PyTorch: no recipe, no Lightning, on the speech that ships with slotaudio.

python examples/plain_pytorch.py [STEPS]
"""

import sys
from itertools import islice

import torch

from slotaudio import Spec, build, preset
from slotaudio.data.batches import loader

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
torch.manual_seed(0)

model = preset("audioslots-small").train()
mixtures = build("dataset", Spec("folder", path="bundled:train", seconds=model.window, size=8 * steps))
objective = build("objective", Spec("supervised"))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
for step, batch in enumerate(islice(loader(mixtures, batch=8), steps), start=1):
    losses = objective(model, batch)
    optimizer.zero_grad()
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
    optimizer.step()
    print(f"step {step}: loss {losses['loss'].item():.4f}")
