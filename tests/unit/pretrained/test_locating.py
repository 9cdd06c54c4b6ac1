"""Models are found by bundled name, folder or on the hub, or one sentence says where they were looked for."""

import huggingface_hub
import pytest

from slotaudio import pretrained as module
from slotaudio.errors import PretrainedError
from slotaudio.pretrained import bundled, from_pretrained, locate


def test_unknown_names_list_what_there_is():
    with pytest.raises(PretrainedError, match="no model named 'audioslots-smal': bundled are"):
        from_pretrained("audioslots-smal")


def test_bundled_names_win_over_nothing_and_default_is_one_of_them(saved, monkeypatch):
    monkeypatch.setattr(module, "_BUNDLED", saved.parent)
    monkeypatch.setattr(module, "DEFAULT_MODEL", "model")
    assert bundled() == ["model"]
    assert locate("default") == locate("model") == saved


def test_models_on_the_hub(saved, monkeypatch):
    asked = {}

    def download(repository: str, **options: object) -> str:
        asked.update(repository=repository, **options)
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert from_pretrained("someone/model@v2").slots == 2
    assert (asked["repository"], asked["revision"]) == ("someone/model", "v2")
    assert all("pickle" not in pattern and "bin" not in pattern for pattern in asked["allow_patterns"])


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch):
    def download(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nlong story")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(PretrainedError, match=r"someone/model is no folder here, .* no route to host") as caught:
        from_pretrained("someone/model")
    assert "\n" not in str(caught.value)


def test_offline_mode_is_respected(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PretrainedError, match="could not be had from the Hugging Face hub"):
        from_pretrained("someone/model-that-is-not-cached")
