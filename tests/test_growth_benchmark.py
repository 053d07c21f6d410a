"""benchmarks.growth: files of a length, the sentence, a small table of each kind."""

import csv
from pathlib import Path

import pytest
import soundfile
from numpy import full

from benchmarks import growth

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


def test_chained_file_has_exactly_the_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", full(16_000, 0.1), 16_000)
    path = growth.chained([str(tmp_path / "a.wav")], 7.25, tmp_path / "long.wav")
    sound, rate = soundfile.read(path)
    assert len(sound) == 7.25 * rate and 0.5 < (sound != 0).mean() < 0.95


def test_the_sentence_compares_the_ends():
    rows = [{"beam": b, growth.SEARCH: cost, "WER": 20.0} for b, cost in ((4, 0.5), (16, 0.6), (64, 2.0))]
    told = growth.sentence(rows, growth.DIMENSIONS["beams"])
    assert told == "From 4 to 64 beam: search, CPU ms per audio s 0.5 to 2 (4 times), WER 20 to 20 (1 times).\n"
    assert growth.sentence(rows[:1], growth.DIMENSIONS["beams"]) == ""


@pytest.mark.parametrize(
    "arguments, name, column, ends",
    [
        (("--of", "beams", "--beams", "1", "16", "--every", "2"), "growth-beams", "beam", ("1", "16")),
        (("--lengths", "1", "2", "--starts", "1"), "growth", "seconds", ("1", "2")),
    ],
)
def test_a_small_table(arguments, name, column, ends, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--out", str(tmp_path), *arguments])
    monkeypatch.setattr(growth, "ENOUGH", 2.0)
    assert growth.main() == 0
    rows = list(csv.DictReader((tmp_path / f"{name}.csv").open()))
    assert tuple(row[column] for row in rows) == ends and (tmp_path / f"{name}.png").stat().st_size
    for cost in growth.DIMENSIONS["length" if name == "growth" else "beams"].costs:
        assert all(float(row[cost]) > 0 for row in rows)
    assert f"From {ends[0]} to {ends[1]} {column}" in (tmp_path / f"{name}.md").read_text()


def test_a_model_that_is_not_there_is_told(monkeypatch, capsys, tmp_path):
    arguments = ["", str(MANIFEST), "--of", "beams", "--model", "nowhere", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert growth.main() == 1 and "no model called 'nowhere'" in capsys.readouterr().err
