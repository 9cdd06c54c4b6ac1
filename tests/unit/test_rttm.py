"""RTTM files: round trip, foreign lines, broken lines."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.errors import UserError
from slotaudio.rttm import Turn, read_rttm, write_rttm
from slotaudio.writing import partial_path

milliseconds = st.integers(0, 3_600_000).map(lambda n: n / 1000)
turns = st.lists(st.builds(Turn, milliseconds, milliseconds, st.sampled_from(["a", "b", "c"]), st.just("talk")))


@given(turns)
def test_round_trip_to_the_millisecond(tmp_path_factory, turns):
    path = tmp_path_factory.mktemp("rttm") / "talk.rttm"
    write_rttm(path, turns)
    found = read_rttm(path)
    assert [(t.speaker, t.recording) for t in found] == [(t.speaker, t.recording) for t in sorted(turns)]
    assert [t.start for t in found] == pytest.approx([t.start for t in sorted(turns)], abs=1e-9)
    assert [t.duration for t in found] == pytest.approx([t.duration for t in sorted(turns)], abs=1e-9)


def test_line_is_the_standard_one(tmp_path):
    write_rttm(tmp_path / "x.rttm", [Turn(1.5, 0.25, "Ann B", "my talk")])
    assert (tmp_path / "x.rttm").read_text() == "SPEAKER my_talk 1 1.500 0.250 <NA> <NA> Ann_B <NA> <NA>\n"


def test_other_lines_are_passed_over(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text(
        ";; comment\n\nSPKR-INFO x 1 <NA> <NA> <NA> unknown a <NA>\nSPEAKER x 1 2 3 <NA> <NA> a <NA> <NA>\n"
    )
    assert read_rttm(path) == [Turn(2.0, 3.0, "a", "x")]
    assert read_rttm(path)[0].end == 5.0


def test_errors_say_what_and_where(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text("SPEAKER x 1 0 1 <NA> <NA> a <NA> <NA>\nSPEAKER x 1 soon 1 <NA> <NA> a\n")
    with pytest.raises(UserError, match="line 2"):
        read_rttm(path)
    path.write_text(";; comment\nhello there\n")  # turns of another format are not the turns of nobody
    with pytest.raises(UserError, match=r"line 2 is not RTTM: .* found 'hello there'"):
        read_rttm(path)
    with pytest.raises(UserError, match="cannot read"):
        read_rttm(tmp_path / "nothing.rttm")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read"):
        read_rttm(path)
    with pytest.raises(UserError, match="cannot write"):
        write_rttm(tmp_path / "no" / "folder.rttm", [])
    for turn in (Turn(-1.0, 1.0, "a"), Turn(1.0, -1.0, "a")):
        with pytest.raises(UserError, match="negative"):
            write_rttm(path, [turn])


def test_turns_are_written_in_order_of_time(tmp_path):
    write_rttm(tmp_path / "a.rttm", [Turn(5.0, 1.0, "b"), Turn(0.0, 1.0, "a")])
    assert [line.split()[3] for line in (tmp_path / "a.rttm").read_text().splitlines()] == ["0.000", "5.000"]


def test_a_timeline_that_cannot_be_written_leaves_the_older_one(tmp_path):
    path = tmp_path / "talk.rttm"
    write_rttm(path, [Turn(0.0, 1.0, "slot1")])
    before = path.read_text()
    partial_path(path).mkdir()  # in the way, as a full disk would be
    with pytest.raises(UserError, match=r"cannot write .*talk\.rttm"):
        write_rttm(path, [Turn(0.0, 2.0, "slot1")])
    assert path.read_text() == before


def test_names_that_are_no_text_are_written_all_the_same(tmp_path):
    write_rttm(tmp_path / "a.rttm", [Turn(0.0, 1.0, " ", os.fsdecode(b"caf\xe9"))])
    assert read_rttm(tmp_path / "a.rttm") == [Turn(0.0, 1.0, "_", "caf?")]
