"""What the import of a module does to its process, seen in a fresh one."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import contextlib, importlib, importlib.util, io, json, random, sys, warnings
import numpy, torch
spec = importlib.util.spec_from_file_location("process", sys.argv[1])
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)

def state():
    # draws leave these as they are, and seeds do not
    seeds = {"torch.manual_seed": torch.initial_seed(), "numpy.random.seed": numpy.random.get_state()[1].tolist(),
             "random.seed": random.getstate()[1][:-1]}
    plain = [each for each in warnings.filters if not (each[1] or each[3])]
    everybodys = [(each[0], each[2]) for each in plain if each[2].__module__ == "builtins"]
    return {**process.settings(), **seeds, "warnings.filterwarnings": everybodys}

found = {}
random.random(), numpy.random.random()
for module in sys.argv[2:]:
    with process.settings_kept(), contextlib.redirect_stdout(io.StringIO()) as printed:
        before = state()
        try:
            importlib.import_module(module)
        except (Exception, SystemExit):
            continue
        after = state()
    found[module] = [name for name in before if after[name] != before[name]] + ["print"] * bool(printed.getvalue())
print(json.dumps(found))
"""


@functools.cache
def side_effects(*modules: str) -> dict[str, list[str]]:
    """Return what importing each module calls that others notice, such as ``torch.set_default_dtype``.

    Modules that cannot be imported are left out, as those of notebooks.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "SLOTAUDIO_PLUGINS": ""}
    command = [sys.executable, "-c", _SCRIPT, str(Path(__file__).with_name("process.py")), *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
