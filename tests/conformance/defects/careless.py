"""Only ever imported in a process of its own: see `defects.encoders.Careless`."""

import random
import warnings

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(3)
torch.manual_seed(0)
np.random.seed(0)  # noqa: NPY002 (the defect)
random.seed(0)
warnings.filterwarnings("ignore")
print("ready")
