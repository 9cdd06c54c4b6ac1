"""The notebook runs from top to bottom, as on a machine where slotaudio was just installed."""

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "separate.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_without_outputs_and_installs_first(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert code[0].source == "%pip install --quiet slotaudio"
    assert code[0].metadata.tags == ["install"]


def test_it_runs_plays_and_draws(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", [])]
    copy = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    client = NotebookClient(copy, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises what a cell raises
    shown = [output.get("data", {}) for cell in copy.cells for output in cell.get("outputs", [])]
    assert sum("<audio" in data.get("text/html", "") for data in shown) == 5  # mixture, sources, sources of the file
    pictures = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    assert [len(picture) > 20_000 for picture in pictures] == [True, True]
    assert not any(output.get("name") == "stderr" for cell in copy.cells for output in cell.get("outputs", []))
    assert {path.name for path in (tmp_path / "separated").glob("*.wav")} == {"mixture_slot1.wav", "mixture_slot2.wav"}
