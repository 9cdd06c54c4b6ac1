"""Train in ten lines of plain PyTorch: no recipe, no Lightning, on the speech that ships with slotaudio.

python examples/plain_pytorch.py [STEPS]
"""

import sys

import torch
from torch.utils.data import DataLoader

from slotaudio import Spec, build, preset
from slotaudio.data.batches import collate

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
torch.manual_seed(0)

model = preset("audioslots-small")
mixtures = build("dataset", Spec("folder", path="bundled:train", seconds=model.window, size=8 * steps))
objective = build("objective", "supervised")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step, batch in enumerate(DataLoader(mixtures, batch_size=8, collate_fn=collate), start=1):
    losses = objective(model, batch)
    optimizer.zero_grad()
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
    optimizer.step()
    print(f"step {step}: loss {losses['loss'].item():.4f}")
