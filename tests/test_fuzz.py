"""Damaged inputs for every reader, a few of them; `python tests/fuzz.py` tries as many as time allows."""

import os
import random
import time
from itertools import islice

import fuzz
import pytest
import readers

from asr.audio.files import AudioError

NEEDED = {"websocket": "starlette", "wyoming": "wyoming"}


@pytest.mark.parametrize("name", readers.READERS)
def test_damage_gives_a_result_or_a_sentence(name, tmp_path):
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason="needs the extra `serve`")
    reader = readers.READERS[name]
    for suffix, data in reader.inputs().items():
        path = tmp_path / f"whole{suffix}"
        path.write_bytes(data)
        reader.read(path)  # what is whole can be read
    for path in islice(fuzz.inputs(reader, 0, tmp_path), 8 if name == "audio" else 40):
        assert not fuzz.fault(reader, path), path.read_bytes()


def test_damage_is_damage_and_the_same_for_the_same_seed():
    data = bytes(range(256))
    copies = [fuzz.damaged(data, random.Random(seed)) for seed in range(50)]
    assert sum(copy != data for copy in copies) > 40 and len(set(copies)) > 30
    assert copies == [fuzz.damaged(data, random.Random(seed)) for seed in range(50)]


def _raising(error: Exception):
    def read(path):
        raise error

    return readers.Reader(lambda: {".txt": b"x"}, read, (AudioError,))


@pytest.mark.parametrize("error", [KeyError("x"), AudioError("two\nlines"), AudioError("")])
def test_a_traceback_and_what_is_no_sentence_are_faults(error, tmp_path):
    assert fuzz.fault(_raising(error), tmp_path / "x")
    assert not fuzz.fault(_raising(AudioError("it is damaged")), tmp_path / "x")


@pytest.mark.parametrize(
    "read, told",
    [(lambda path: os.kill(os.getpid(), 9), "ended with -9"), (lambda path: time.sleep(60), "no answer"),
     (lambda path: bytearray(2 * fuzz.ROOM), "MemoryError")],
)  # fmt: skip
def test_a_crash_a_hang_and_too_much_memory_are_told_and_kept(read, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(readers.READERS, "bad", readers.Reader(lambda: {".txt": b"xyz"}, read, ()))
    monkeypatch.setattr(fuzz, "HANG", 2.0)
    tried, faults = fuzz.fuzz("bad", 1, time.time() + 2.5, tmp_path / "kept")
    assert tried and faults == 1 and told in capsys.readouterr().out
    assert (tmp_path / "kept/bad-1.txt").is_file()
