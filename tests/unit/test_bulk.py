"""A corpus and its workers: nothing twice, nothing lost, whoever is killed when."""

import errno
import json
import multiprocessing
import ntpath
import os
import signal
from collections import Counter

import pytest

from slotaudio.errors import UserError
from slotaudio.separation import bulk
from slotaudio.separation.bulk import Corpus, Recording, read_list, shard


def corpus_of(folder, count):
    names = [f"speaker{number % 3}/{number}.flac" for number in range(count)]
    (folder / "corpus.txt").write_text("# all of them\n\n" + "\n".join(names) + "\n")
    return read_list(folder / "corpus.txt")


def work_in(folder, fatal=()):
    """Work that writes two files, and a line when it begins and ends.

    Where the number of works begun so far is in `fatal` it kills itself, at a point that depends on it.
    """

    def work(path, target, force):
        def note(what):
            with open(folder / "notes", "a") as file:
                print(what, path.name, force, file=file)

        note("begin")
        begun = (folder / "notes").read_text().count("begin")

        def perhaps_die(point):
            if begun in fatal and begun % 3 == point:
                os.kill(os.getpid(), signal.SIGKILL)

        target.mkdir(parents=True, exist_ok=True)
        outputs = [target / f"{path.stem}_slot{slot}.wav" for slot in (1, 2)]
        for point, output in enumerate(outputs):
            perhaps_die(point)
            if output.exists() and not force:
                raise UserError(f"{output} exists")
            output.write_text(path.name)
        perhaps_die(2)
        note("end")
        return outputs

    return work


def separate(folder, recordings, **options):
    return list(Corpus(folder / "out", {"model": "a"}, poll=0.02).separate(recordings, work_in(folder, **options)))


def notes(folder):
    return [line.split() for line in (folder / "notes").read_text().splitlines()]


def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(tmp_path):
    recordings = corpus_of(tmp_path, 24)
    context = multiprocessing.get_context("fork")
    fatal = range(2, 25, 2)  # twelve deaths, four at each point

    def start():
        worker = context.Process(target=separate, args=(tmp_path, recordings), kwargs={"fatal": fatal})
        worker.start()
        return worker

    workers, ends = [start() for _ in range(3)], Counter()
    while workers:
        worker = workers.pop(0)
        worker.join()
        ends[worker.exitcode] += 1
        if worker.exitcode:
            workers.append(start())
    assert ends[0] == 3
    assert ends[-signal.SIGKILL] >= 10  # two that begin at once may count alike
    assert set(ends) == {0, -signal.SIGKILL}

    outcomes = separate(tmp_path, recordings)
    assert [outcome.recording for outcome in outcomes] == recordings
    assert all(outcome.before for outcome in outcomes)
    for recording in recordings:
        for slot in (1, 2):
            output = tmp_path / "out" / recording.name.replace(".flac", f"_slot{slot}.wav")
            assert output.read_text() == recording.path.name
    names = {recording.path.name for recording in recordings}
    seen = notes(tmp_path)
    # each ended once, and was begun once more for each worker that died at it
    assert Counter(name for what, name, _ in seen if what == "end") == dict.fromkeys(names, 1)
    assert Counter(name for what, name, force in seen if (what, force) == ("begin", "False")) == dict.fromkeys(names, 1)
    assert sum(what == "begin" for what, _, _ in seen) == 24 + ends[-signal.SIGKILL]


def test_a_second_start_does_what_is_left_and_tries_failures_again(tmp_path):
    recordings = corpus_of(tmp_path, 3)
    (tmp_path / "out/speaker1").mkdir(parents=True)
    foreign = tmp_path / "out/speaker1/1_slot2.wav"
    foreign.write_text("not ours")
    first = separate(tmp_path, recordings)
    assert [outcome.error is None for outcome in first] == [True, False, True]
    assert foreign.read_text() == "not ours"

    foreign.unlink()
    (tmp_path / "out/speaker1/1_slot1.wav").unlink()
    (tmp_path / "out/speaker2/2_slot1.wav").unlink()  # its record is not believed
    second = separate(tmp_path, recordings)
    assert [(outcome.error, outcome.before) for outcome in second] == [(None, True), (None, False), (None, False)]
    assert second[1].outputs == tuple(tmp_path / f"out/speaker1/1_slot{slot}.wav" for slot in (1, 2))


def test_what_a_killed_worker_left_is_replaced_even_after_a_failure(tmp_path):
    recordings = corpus_of(tmp_path, 1)
    corpus = Corpus(tmp_path / "out", {"model": "a"})
    (tmp_path / "out/.separated/0.flac.begun").touch()
    (tmp_path / "out/0_slot1.wav").write_text("half of it")

    def fail(path, target, force):
        raise MemoryError

    assert isinstance(next(corpus.separate(recordings, fail)).error, MemoryError)
    assert str(next(corpus.separate(recordings, fail)).error) == "MemoryError:"
    os.utime(tmp_path / "out/.separated/0.flac.failed", (0, 0))  # an earlier start's
    assert [outcome.error for outcome in separate(tmp_path, recordings)] == [None]
    assert (tmp_path / "out/0_slot1.wav").read_text() == "0.flac"


def test_a_full_disk_fails_a_recording_and_the_next_start_does_it_again(tmp_path, monkeypatch):
    recordings = corpus_of(tmp_path, 2)
    write = Corpus._write

    def full(corpus, path, text):
        if path.name == "0.flac.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(corpus, path, text)

    monkeypatch.setattr(Corpus, "_write", full)
    first, second = separate(tmp_path, recordings)
    assert str(first.error).endswith("0.flac was not recorded: [Errno 28] No space left on device")
    assert second.error is None
    monkeypatch.undo()
    assert [(outcome.error, outcome.before) for outcome in separate(tmp_path, recordings)] == [
        (None, False),
        (None, True),
    ]


def test_a_failure_is_told_to_the_other_workers_once(tmp_path):
    recordings = corpus_of(tmp_path, 1)
    corpora = [Corpus(tmp_path / "out", {}) for _ in range(2)]

    def fail(path, target, force):
        raise UserError(f"{path.name} is damaged")

    outcomes = [next(corpus.separate(recordings, fail)) for corpus in corpora]
    assert [(str(outcome.error), outcome.before) for outcome in outcomes] == [
        ("0.flac is damaged", False),
        ("0.flac is damaged", True),
    ]


def test_other_options_need_another_folder(tmp_path):
    Corpus(tmp_path, {"model": "a", "mask": None})
    Corpus(tmp_path, {"model": "a", "mask": None})
    with pytest.raises(UserError, match=r"was begun with other options.*\n  model: 'a', now 'b'$"):
        Corpus(tmp_path, {"model": "b", "mask": None})
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        Corpus(tmp_path / "file", {})


def test_lists_may_be_tables_and_come_from_windows(tmp_path):
    (tmp_path / "mixtures.csv").write_text("id,mixture_path,length\n1,a/x.wav,3\n2,b/c/x.wav,4\n")
    (tmp_path / "windows.csv").write_bytes(b"\xef\xbb\xbfpath\r\na/x.wav\r\nb/c/x.wav\r\n")
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbfa/x.wav\r\nb/c/x.wav\r\n")
    for name in ("mixtures.csv", "windows.csv", "windows.txt"):
        assert read_list(tmp_path / name) == [
            Recording(tmp_path / "a/x.wav", "a/x.wav"),
            Recording(tmp_path / "b/c/x.wav", "b/c/x.wav"),
        ]


def test_names_in_tables_may_begin_like_comments(tmp_path):
    (tmp_path / "table.csv").write_text("path\n#1.wav\n2.wav\n")
    assert [each.path.name for each in read_list(tmp_path / "table.csv")] == ["#1.wav", "2.wav"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("none.txt", None, "cannot be read"),
        ("empty.txt", "# nothing\n", "names no recordings"),
        ("twins.txt", "a/x.wav\na/X.mp3\n", r"x\.wav and .*X\.mp3 would have the same outputs"),
        ("other.csv", "name\nx.wav\n", "none of the columns path, file, mixture_path"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path, name, text, complaint):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_list(tmp_path / name)


def test_a_recording_is_no_list(tmp_path):
    (tmp_path / "a.flac").write_bytes(b"fLaC\xff\xfe")
    with pytest.raises(UserError, match=r"a\.flac is no text in UTF-8: give a file with a path in each line"):
        read_list(tmp_path / "a.flac")


def test_recordings_on_several_drives_are_refused(tmp_path, monkeypatch):
    (tmp_path / "drives.txt").write_text("a.wav\nb.wav\n")
    monkeypatch.setattr(os.path, "commonpath", lambda paths: ntpath.commonpath(["C:\\", "D:\\"]))
    with pytest.raises(UserError, match="on several drives: make a list of each"):
        read_list(tmp_path / "drives.txt")


def test_shards_share_a_list_evenly(tmp_path):
    recordings = corpus_of(tmp_path, 10)
    parts = [shard(recordings, f"{part}/4") for part in range(1, 5)]
    assert sorted(map(len, parts)) == [2, 2, 3, 3]
    assert sorted(each.name for part in parts for each in part) == sorted(each.name for each in recordings)
    for wrong in ("0/4", "5/4", "1", "a/b", "1/"):
        with pytest.raises(UserError, match="write I/N"):
            shard(recordings, wrong)


def test_records_are_plain_to_read(tmp_path):
    separate(tmp_path, corpus_of(tmp_path, 1))
    record = tmp_path / "out/.separated/0.flac.json"
    assert json.loads(record.read_text()) == {"outputs": ["0_slot1.wav", "0_slot2.wav"]}


def test_records_take_their_place_at_once(tmp_path, monkeypatch):
    recordings = corpus_of(tmp_path, 1)
    made = Corpus(tmp_path / "out", {})
    real = bulk.Path.write_text

    def half(path, text, **options):
        real(path, text[: len(text) // 2], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bulk.Path, "write_text", half)
    list(made.separate(recordings, lambda path, folder, force: []))
    assert not (tmp_path / "out/.separated/speaker0/0.flac.json").exists()


def test_after_a_failure_other_peoples_files_are_still_other_peoples(tmp_path):
    recordings, forced = corpus_of(tmp_path, 1), []

    def fail(path, folder, force):
        forced.append(force)
        raise ValueError

    for _ in range(2):
        list(Corpus(tmp_path / "out", {}).separate(recordings, fail))
        next((tmp_path / "out/.separated").glob("*.failed")).unlink()
    assert forced == [False, False]


def test_what_was_done_while_the_lock_was_waited_for_is_not_done_again(tmp_path, monkeypatch):
    recordings = corpus_of(tmp_path, 1)
    one, other = (Corpus(tmp_path / "out", {}) for _ in range(2))
    known, worked = Corpus._known, []

    def late(self, recording):
        found = known(self, recording)
        if self is one and not worked:  # the other one does it between the first look and the lock
            list(other.separate(recordings, lambda *_: worked.append("other") or []))
        return found

    monkeypatch.setattr(Corpus, "_known", late)
    outcomes = list(one.separate(recordings, lambda *_: worked.append("one") or []))
    assert worked == ["other"]
    assert outcomes[0].before
