"""Lets the tests of this folder import the tables that lie beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore = ["defects/careless.py"]  # what its import does to the process is its defect
