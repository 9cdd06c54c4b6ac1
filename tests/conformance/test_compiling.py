"""`torch.compile` and `torch.export` of the built-ins, in a process without runtime type checks."""

import subprocess
import sys
from pathlib import Path


def test_built_ins_compile_and_export_where_promised():
    suite = Path(__file__).with_name("test_builtin.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "compiles or exports", str(suite)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
