"""benchmarks.growth: files of a length, what is searched, the sentence, a small table of every kind."""

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import growth, growth_files, growth_search

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


def options(*more: str) -> argparse.Namespace:
    return growth.parser().parse_args([str(MANIFEST), "--every", "1", *more])


def table(monkeypatch, tmp_path: Path, *arguments: str) -> list[dict]:
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--every", "1", "--out", str(tmp_path), *arguments])
    assert growth.main() == 0
    path = next(tmp_path.glob("*.csv"))
    assert path.with_suffix(".png").stat().st_size and path.with_suffix(".md").read_text()
    return list(csv.DictReader(path.open()))


def test_chained_file_has_exactly_the_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    path = growth_files.chained([str(tmp_path / "a.wav")], 7.25, tmp_path / "long.wav")
    sound, rate = soundfile.read(path)
    assert len(sound) == 7.25 * rate and 0.5 < (sound != 0).mean() < 0.95


def test_the_sentence_compares_the_ends():
    rows = [{"beam": b, growth.SEARCH: cost, "WER": 20.0} for b, cost in ((4, 0.5), (16, 0.6), (64, 2.0))]
    told = growth.sentence(rows, growth.DIMENSIONS["beams"])
    assert told == "From 4 to 64 beam: search, CPU ms per audio s 0.5 to 2 (4 times), WER 20 to 20 (1 times).\n"
    assert growth.sentence(rows[:1], growth.DIMENSIONS["beams"]) == ""


def test_a_search_with_hotwords_hears_them(tmp_path):
    """The same pieces for both; the clips say both words."""
    clips = growth_search.lay_out(tmp_path, options())
    assert len(clips) == 4
    job = {"heads": str(tmp_path / "heads.npz"), "model": "english", "beam": 64}
    plain = growth_search.work(job)
    assert plain["search"] > 0 and plain["peak"] > 20 and {clip for clip, _ in plain["texts"]} <= set(range(4))
    words = ["independence", "font"]
    hoped = growth_search.work(job | {"hotwords": words})
    before, after = (" ".join(text for _, text in found["texts"]).split() for found in (plain, hoped))
    assert sum(map(after.count, words)) > sum(map(before.count, words))


def test_language_models_of_two_sizes(monkeypatch, tmp_path):
    text = [
        f"the {a} {b} went to the {c}"
        for a in "big small old".split()
        for b in "dog cat".split()
        for c in "sea hill".split()
    ]
    (tmp_path / "text.txt").write_text("\n".join(text))
    small, large = table(
        monkeypatch, tmp_path / "out", "--of", "lm", "--text", str(tmp_path / "text.txt"), "--lm", "5", "1000"
    )
    assert int(small["n-grams"]) < int(large["n-grams"]) and float(large["file MB"]) > 0
    assert not small["failure"] and 0 <= float(large["WER"]) <= 200


def test_a_search_that_fails_is_told(tmp_path):
    clips = growth_search.lay_out(tmp_path, options())
    row = growth_search.search(tmp_path, clips, options("--model", "nowhere"))
    assert "no model called 'nowhere'" in row["failure"]


@pytest.mark.parametrize("of, column", [("files", "first text s"), ("streams", "ms a stream and second")])
def test_many_at_a_time(of, column, monkeypatch, tmp_path):
    monkeypatch.setattr(growth.growth_streams, "SECONDS", 1.0)
    one, more = table(monkeypatch, tmp_path, "--of", of, f"--{of}", "1", "5")
    assert (one[of], more[of]) == ("1", "5") and float(one[column]) > 0
    assert of == "streams" or float(more["minutes"]) > 4 * float(one["minutes"])


def test_streams_are_measured_before_the_process_is_full(monkeypatch):
    grown = []
    monkeypatch.setattr(growth, "grow", lambda name, options: grown.append(name))
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--of", "beams", "streams", "length"])
    assert growth.main() == 0 and grown == ["length", "streams", "beams"]


def test_language_models_need_text(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--of", "lm"])
    with pytest.raises(SystemExit):
        growth.main()
    assert "--of lm needs --text" in capsys.readouterr().err


def test_a_text_that_is_not_there_is_told(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--every", "4", "--of", "lm", "--text", "/nowhere.txt"])
    assert growth.main() == 1 and "cannot read /nowhere.txt" in capsys.readouterr().err
