"""benchmarks.search: the material for the searches, their scores, and the table; the peers only where they are."""

import json
import sys
from pathlib import Path

import pytest

from asr.training.data import read_manifest
from benchmarks import search, searches
from benchmarks.searches import SEARCHES, Material

CLIPS = Path(__file__).parent / "data" / "clips.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("material")
    search.lay_out(read_manifest(CLIPS)[:2], "english", place)
    return place


@pytest.fixture(scope="module")
def material(folder) -> Material:
    return Material(folder)


def test_a_score_is_what_our_search_maximises(material):
    rows = material.rows["letters"][0]
    best = searches.LetterSearch(material.alphabet, material.letters, material.lm).decode(rows)[0]
    exact = searches.score(material, "letters", 0, best.text)
    assert best.score - 0.01 <= exact <= best.score + 4  # the beam loses paths
    rows = material.rows["phonemes"][0]
    best = searches.lexicon_search(material.phonemes, material.lexicon, material.lm, material.words).decode(rows)[0]
    assert searches.score(material, "phonemes", 0, best.text) == pytest.approx(best.score, abs=0.5)
    assert searches.score(material, "phonemes", 0, f"{best.text} {best.text}") < best.score - 10


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_understands_a_clip(material, name):
    what, make = SEARCHES[name]
    try:
        decode = make(material, 16)
    except ImportError as error:
        pytest.skip(str(error))
    said, heard = read_manifest(CLIPS)[0].text.split(), decode(material.rows[what][0]).split()
    assert len(set(said) & set(heard)) >= 2


def test_the_process_and_its_table(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(searches, "SEARCHES", {k: v for k, v in SEARCHES.items() if k.startswith("ours")})
    monkeypatch.setattr(searches, "PACKAGES", ("numpy",))
    monkeypatch.setattr(sys, "argv", ["searches", str(folder), "4", "8"])
    searches.main()
    found = json.loads((folder / "results.json").read_text())
    assert [(r["search"], r["beam"]) for r in found["rows"]] == [
        (f"ours, {what}", beam) for what in ("lexicon", "letters") for beam in (4, 8)
    ]
    options = search.parser().parse_args([str(CLIPS), "--out", str(tmp_path / "out")])
    search.report(found, read_manifest(CLIPS)[:2], "a machine", options)
    lines = (tmp_path / "out" / "search.csv").read_text().splitlines()
    assert len(lines) == 5 and lines[0] == "search,beam,CPU ms per audio s,score,WER,WER low,WER high"
    assert (
        "| ours, letters | 8 |" in (tmp_path / "out" / "search.md").read_text() and "numpy" in capsys.readouterr().out
    )


def test_without_the_peers_it_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search, "install", lambda folder, packages: f"no {packages[0]} here")
    monkeypatch.setattr(sys, "argv", ["search", str(CLIPS), "--out", str(tmp_path)])
    assert search.main() == 1 and "no flashlight-text here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
