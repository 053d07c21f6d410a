"""The benchmarks of live listening: what counts as shown, simulated time, streams of clips, verdicts."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from asr.live.stream import Result
from asr.transcript import Word
from benchmarks import clips, streaming, streams

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


def rows_of_clips() -> list[dict]:
    rows = [json.loads(line) for line in MANIFEST.open()]
    return [row | {"audio_filepath": str(MANIFEST.parent / row["audio_filepath"])} for row in rows]


def shown(*texts: str) -> list[streaming.Shown]:
    """A partial result a second, the last one final; words take a second, too."""
    last = len(texts) - 1
    final = tuple(Word(text, i, i + 1, 1.0) for i, text in enumerate(texts[-1].split()))
    results = [Result("final" if i == last else "partial", 0, i, text) for i, text in enumerate(texts)]
    results[-1] = Result("final", 0, last, texts[-1], words=final)
    return [streaming.Shown(result, i) for i, result in enumerate(results)]


@pytest.mark.parametrize(
    "partial, there",
    [("he", {0}), ("he look", {0}), ("see looked", {1}), ("looked at", {1, 2}), ("", set()), ("he at", {0})],
)
def test_words_stand_at_their_places(partial, there):
    assert streaming.standing(partial.split(), "he looked at he".split()) == there


def test_first_shown_settled_and_with_the_final_text_only():
    he, looked, away = streaming.delays(shown("he", "he look", "see looked", "he looked", "he looked away"))
    assert (he.first, he.settled, he.with_final) == (0, 3, False)
    assert (looked.first, looked.settled, looked.with_final) == (2, 2, False)
    assert (away.first, away.settled, away.with_final) == (4, 4, True)
    assert [d.reached for d in (he, looked, away)] == [0, 1, 4]


def test_words_that_change_are_counted():
    assert streaming.changes(shown("he", "he look", "see looked", "he", "he looked away")) == 4
    assert streaming.changes([*shown("he"), *shown("he looked")]) == 0


def test_only_right_words_near_their_times_count():
    found = streaming.delays(shown("he looked", "he looked away"))
    said = [Word("he", 0.1, 0.9, 1.0), Word("locked", 1.0, 2.0, 1.0), Word("away", 7.0, 8.0, 1.0)]
    assert [(d.word.text, end) for d, end in streaming.right(found, said)] == [("he", 0.9)]


def test_a_result_comes_after_its_block_and_the_work_before(monkeypatch):
    """Blocks of 0.1 s that take 0.25 s of work: the second is begun late."""
    stream = SimpleNamespace(feed=lambda block: [len(block)], flush=lambda: ["end"])
    clock = iter([0.0, 0.25, 1.0, 1.25])
    monkeypatch.setattr(streaming.time, "process_time", lambda: next(clock))
    found, spent = streaming.run(SimpleNamespace(stream=lambda: stream), [np.zeros(1_600)] * 2, 16_000)
    assert [s.at for s in found] == pytest.approx([0.35, 0.6, 0.6]) and spent == 0.5


def test_joined_clips_are_where_it_says():
    rows = rows_of_clips()[:2]
    sound = clips.joined(rows, 3)
    for start, end, row in zip(sound.starts, sound.ends, rows):
        part = sound.samples[round(start * clips.RATE) : round(end * clips.RATE)]
        assert np.array_equal(part, clips.audio.load(row["audio_filepath"]))
    assert 1 <= sound.starts[0] <= 2.5 and 1 <= sound.starts[1] - sound.ends[0] <= 2.5
    assert [sound.clip(t) for t in (0, sound.ends[0] + 0.1, sound.starts[1], 99)] == [0, 0, 1, 1]
    assert np.array_equal(np.concatenate(sound.blocks()), clips.joined(rows, 3).samples)


def test_every_clip_is_in_one_stream():
    rows = rows_of_clips() * 3
    found = [row for sound in clips.streams(rows, 2, 1) for row in sound.rows]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, rows))


def test_the_table_of_latencies(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--every", "3", "--latencies", "320", "--out", str(tmp_path)])
    assert streaming.main() == 0
    full, live, twice = csv.DictReader((tmp_path / "streaming.csv").open())
    assert full["latency"] == "full context" and live["latency"] == "330 ms" and live["look-ahead ms"] == "210"
    assert twice["latency"] == "330 ms, two passes" and twice["WER"] == full["WER"]
    assert 0 <= float(live["final after endpoint 50 % s"]) < 0.6  # a block, and the work
    assert 0.6 < float(live["final after last word 50 % s"]) < 2
    assert float(live["all: shown 50 % s"]) <= float(live["all: settled 50 % s"]) < 1
    assert (tmp_path / "streaming.md").read_text().count("\n|") == 5 and (tmp_path / "streaming.png").stat().st_size


def test_load_and_lag_of_many_streams(monkeypatch):
    clock = iter(np.repeat(np.arange(9), 2) * 1.0 + np.tile([0, 0.1], 9))  # 0.1 s of work for each block of 0.08 s
    monkeypatch.setattr(streams.time, "process_time", lambda: next(clock))
    sounds = [[np.zeros(1_280)] * 4] * 3
    row = streams.measured("x", lambda blocks: [[1], [1], [2]], sounds, [[1] * 4] * 3)
    assert row["cores"] == pytest.approx(1.25) and row["one core carries"] == 2
    assert row["greatest lag s"] == pytest.approx(0.08) and row["others than alone"] == 1


def test_wake_word_streams_together_as_alone():
    detector = streams.wake_word(None)
    sounds = [streams.sound(rows_of_clips(), seed, 2.0) for seed in range(3)]
    alone = [streams.run(streams.detections(detector, 1), [sound])[0][0] for sound in sounds]
    assert streams.run(streams.detections(detector, 3), sounds)[0] == alone
