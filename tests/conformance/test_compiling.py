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


def test_what_cannot_be_traced_is_caught():
    code = (
        "from defects.encoders import UNTRACEABLE\n"
        "from test_defects import suite\n"
        "for defect in UNTRACEABLE:\n"
        "    try:\n"
        "        getattr(suite(defect), defect.caught_by)()\n"
        "    except Exception as error:\n"
        "        print('caught', defect.caught_by, type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=300
    )
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("caught")] == [
        "test_it_compiles_where_promised",
        "test_it_exports_where_promised",
    ], done.stdout
