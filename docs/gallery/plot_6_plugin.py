"""
Write and publish a plug-in
===========================

A component of yours, tried in a notebook first, then as a package that anybody can install. Nothing in slotaudio has to
be changed for it, and nothing has to be inherited.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.positions import grid
from slotaudio.registry import encoders
from slotaudio.types import Features

# %%
# In a notebook
# -------------
# The contract of an encoder is short: it offers ``out_dim``, and it turns features of a spectrum into
# :py:obj:`slotaudio.types.Features`, tokens and where they lie. This one cuts the spectrum into patches, as vision
# transformers do, and projects each. ``in_channels`` is filled in from the frontend.


@encoders.register("patches")
class Patches(nn.Module):
    """Cut the spectrum into square patches and make each one token."""

    def __init__(self, in_channels: int, size: int = 16, dim: int = 128) -> None:
        super().__init__()
        self.out_dim = dim
        self.size = size
        self.project = nn.Conv2d(in_channels, dim, size, stride=size)

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        freq, frames = features.shape[-2:]
        padded = nn.functional.pad(features, (0, -frames % self.size, 0, -freq % self.size))
        maps = self.project(padded)
        return Features(
            tokens=rearrange(maps, "batch dim freq frames -> batch 1 (freq frames) dim"),
            positions=grid(*maps.shape[-2:]).to(maps),
        )


# %%
# From here on it is a component like any other: it has a name, its options are checked, and a model can be
# composed with it, trained and saved.

from slotaudio import Spec, preset

model = preset("audioslots-small", encoder=Spec("patches", size=8))
with torch.no_grad():
    prediction = model(torch.randn(1, 1, 1, 8000))
prediction.features.tokens.shape  # batch steps tokens dim

# %%
# As a package
# ------------
# ``slotaudio new-plugin`` writes a package with one component, its test and its CI.

import subprocess
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())


def run(*command, **options):
    """Run a command as you would in a terminal, and print what it says."""
    print("$", *(Path(part).name if str(part).startswith("/") else part for part in command))
    done = subprocess.run([*command], capture_output=True, text=True, cwd=folder, **options)
    print(done.stdout[-2000:], done.stderr[-2000:])
    done.check_returncode()


slotaudio = [sys.executable, "-m", "slotaudio"]
run(*slotaudio, "new-plugin", "patches", "--family", "encoder")
package = folder / "slotaudio-patches"
print(*sorted(str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()), sep="\n")

# %%
# Two files matter. ``__init__.py`` says what there is. It is imported whenever components are listed, so it names the
# class by a string and imports nothing heavy:

print((package / "slotaudio_patches" / "__init__.py").read_text())

# %%
# ``pyproject.toml`` says where to look, by an entry point:

for table in (package / "pyproject.toml").read_text().split("\n\n"):
    if "entry-points" in table:
        print(table)

# %%
# Your class takes the place of the example in ``encoder.py``:

code = '''"""The encoder `patches`."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.positions import grid
from slotaudio.types import Features


class Patches(nn.Module):
    """Cut the spectrum into square patches and make each one token."""

    def __init__(self, in_channels: int, size: int = 16, dim: int = 128) -> None:
        super().__init__()
        self.out_dim = dim
        self.size = size
        self.project = nn.Conv2d(in_channels, dim, size, stride=size)

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return one token per patch, all in one step."""
        freq, frames = features.shape[-2:]
        padded = nn.functional.pad(features, (0, -frames % self.size, 0, -freq % self.size))
        maps = self.project(padded)
        return Features(
            tokens=rearrange(maps, "batch dim freq frames -> batch 1 (freq frames) dim"),
            positions=grid(*maps.shape[-2:]).to(maps),
        )
'''
with open(package / "slotaudio_patches" / "encoder.py", "w", encoding="utf-8") as file:
    file.write(code)

# %%
# Install it (``pip install -e slotaudio-patches`` is all that you need; these pages put it into a folder of its
# own), and it is listed:

import os

site = folder / "site"
pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
subprocess.run([*pip, "--target", str(site), str(package)], check=True, capture_output=True)
installed = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "100"}
run(*slotaudio, "components", "encoder", env=installed)

# %%
# Held to the contract
# --------------------
# The package's whole test is a class with a name in it:

print((package / "tests" / "test_patches.py").read_text())

# %%
# Behind it is the conformance suite of the family, the same that the built-in encoders pass: batch items do not
# see each other, gradients reach every parameter, silence is legal, what was saved computes the same, nothing kept
# from earlier calls goes stale, ... Each check is named after the contract that its failure breaks. Attributes of
# the class say what a component does otherwise on purpose: ``local = False`` for an encoder whose tokens mix
# everything, ``exact_gradients = False`` where back-propagation approximates.

test = [sys.executable, "-m", "pytest", "-q", "--conformance-examples", "2", "-p", "no:cacheprovider"]
run(*test, str(package / "tests"), env=installed)

# %%
# Publish
# -------
# A name on the Python Package Index, ``slotaudio-patches`` here, and anybody can ``pip install`` it::
#
#     python -m build slotaudio-patches
#     python -m twine upload slotaudio-patches/dist/*
#
# A recipe of yours goes into ``slotaudio_patches/recipes/`` and is announced by the hook ``slotaudio_recipes``;
# then ``slotaudio train`` knows it by name. A model that was saved with your component says which package is
# missing where it is not installed.
#
# Beyond components
# -----------------
# ``slotaudio_build`` wraps the construction of *any* component, to freeze, time or adapt it without the component
# knowing; ``slotaudio_commands`` adds commands. Every hook has a working example in
# :doc:`its reference </reference/api/slotaudio.hookspecs>`.

import slotaudio


@slotaudio.hookimpl(wrapper=True)
def slotaudio_build(family, name):
    """Freeze every encoder."""
    component = yield
    if family == "encoder":
        component.requires_grad_(False)
    return component
