"""The recipe of numbers: the sentences found in real text, and all of it at a small size."""

import sys

import pytest

from asr.written.reading import read

pytest.importorskip("num2words")
from recipes.written_form import found  # noqa: E402

UNSURE = ["one two three"]  # a count or 123: it stays in words


def test_what_the_house_writes_of_a_found_sentence_is_what_was_said():
    for line in found.FOUND.read_text("utf-8").splitlines():
        for written, said, house in found._NUMBER.findall(line):
            assert bool(read(house or written, said.split())) == (said not in UNSURE), (line, written)


def test_found_sentences_are_as_in_their_sources_and_as_they_are_said(tmp_path):
    path = tmp_path / "found.tsv"
    path.write_text("tatoeba\tTom's {13-year-old=thirteen year old=13 year old} paid {$5=five dollars}.\n")
    assert list(found.sentences(path)) == [(
        "tatoeba", "Tom's 13-year-old paid $5.", "tom's thirteen year old paid five dollars".split(),
        "tom's 13 year old paid $5",
    )]  # fmt: skip
    every = list(found.sentences())
    assert len(every) == 200 and not any("{" in f.sentence + f.expected or "}" in f.expected for f in every)


def test_from_text_to_a_model_that_writes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    from recipes.written_form import evaluate, prepare, train

    text = tmp_path / "text.txt"
    text.write_text(
        "".join(f"In {1700 + i} we paid ${i}.50 for {i + 11} of them.\nNo one {i} came.\n" for i in range(200))
    )
    work = str(tmp_path / "work")

    def run(module, *options):
        monkeypatch.setattr(sys, "argv", ["recipe", *options])
        module.main()

    run(prepare, work, str(text), "--lines", "300", "--pairs", "500", "--workers", "1")
    assert len((tmp_path / "work" / "pairs.tsv").read_text("utf-8").splitlines()) >= 500
    run(train, work, f"{work}/run", "--updates", "2")
    run(evaluate, f"{work}/run/model.safetensors", "made", "found", "--most", "5")
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("all")]
    assert [row[1] for row in rows] == ["5", "5"] and all(row[5] == "0" for row in rows), "no wrong number"
