"""Files take their place whole or not at all."""

import pytest

from slotaudio.errors import OutputExists, UserError
from slotaudio.writing import check_free, replacing


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "notes.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("notes.txt", "old")]


def test_a_file_that_cannot_take_its_place_is_removed(tmp_path):
    folder = tmp_path / "talk.rttm"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"), replacing(folder) as partial:
        partial.touch()
    assert list(tmp_path.iterdir()) == [folder]


def test_what_is_there_is_told_before_anything_is_written(tmp_path):
    file = tmp_path / "talk.wav"
    check_free(file)
    file.touch()
    check_free(file, force=True)
    with pytest.raises(OutputExists):
        check_free(file)
    for force in (False, True):  # nor would --skip-existing take a folder for an output
        with pytest.raises(UserError, match="is a folder, and a file is to be written there") as refused:
            check_free(tmp_path, force)
        assert not isinstance(refused.value, OutputExists)
    with pytest.raises(UserError, match=r"the folder .*below.* cannot be made: .*talk\.wav is a file"):
        check_free(file / "below" / "talk.wav", force=True)
