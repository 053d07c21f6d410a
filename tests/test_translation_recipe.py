"""The translation recipe: a split without leaks, scores that are sacrebleu's, and its three commands in small."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from asr.attention.seq2seq import Output
from asr.errors import Error
from recipes.translation import data, evaluate, scores, train, translate
from recipes.translation.pictures import draw_map

WORDS = {"le chat": "the cat", "la vache": "the cow", "Zoé": "Zoé", "Jean": "John"}
ACTS = {"mange": "eats", "dort": "sleeps", "est là": "is here", "ne voit rien du tout": "sees nothing at all"}
ENDS = {".": ".", " !": "!", " aujourd'hui.": " today."}
PAIRS = [
    (f"{a} {b}{c}", f"{WORDS[a]} {ACTS[b]}{ENDS[c]}") for a, b, c in itertools.product(WORDS, ACTS, ENDS)
]  # French, English


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=30), st.integers(0, 5))
def test_no_sentence_is_in_two_parts(pairs, seed):
    pairs = [(a.upper() + "!" * (seed % 2), b) for a, b in pairs] + [(a, b) for a, b in pairs]
    parts = data.split(pairs, dev=3, test=4, seed=seed)
    everything = [parts.train, parts.dev, parts.test]
    assert sorted(sum(everything, [])) == sorted(pairs)
    for one, other in itertools.combinations(everything, 2):
        for side in (0, 1):
            assert not {data.same(p[side]) for p in one} & {data.same(p[side]) for p in other}


def test_pairs_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("Go.\tVa\u202f!\nGo.\tVa\u202f!\tCC-BY 2.0\nI’m here.\tJe suis la\u0300.\n", "utf-8")
    assert data.read_pairs(str(path)) == [("Va !", "Go."), ("Je suis là.", "I'm here.")]
    path.write_text("no tab\n")
    with pytest.raises(Error, match="a tab"):
        data.read_pairs(str(path))
    assert data.references([("a", "x"), ("b", "y"), ("a", "z")]) == {"a": ["x", "z"], "b": ["y"]}


def test_bleu_is_that_of_sacrebleu():
    texts = ["the cat sat on the mat .", "a dog ran away", "he is here now ."]
    right = [["the cat sat on a mat ."], ["the dog ran away", "a dog ran off"], ["he is now here .", "he is here ."]]
    streams = [[some[i] if i < len(some) else None for some in right] for i in range(2)]
    found = scores.counts(texts, right)
    assert scores.bleu(found) == pytest.approx(sacrebleu.BLEU().corpus_score(texts, streams).score)
    value, low, high = scores.bleu_interval(found)
    assert low < value < high and scores.gain(found, found) == (0, 0, 0)
    better = scores.counts([r[0] for r in right], right)
    assert scores.gain(found, better)[1] > 0 and scores.bleu(better) == pytest.approx(100)
    assert np.isnan(scores.bleu_interval(found[:0])[0])


def run(module, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["x", *arguments])
    module.main()


def test_the_commands_in_small(tmp_path, monkeypatch, capsys):
    path, work = tmp_path / "pairs.txt", tmp_path / "work"
    path.write_text("".join(f"{e}\t{f}\n" for f, e in PAIRS), "utf-8")
    monkeypatch.setattr(data.split, "__defaults__", (4, 12, 1))
    monkeypatch.setattr(train, "PIECES", 80)
    monkeypatch.setattr(scores.resampled, "__defaults__", (50, 0))
    monkeypatch.setattr(evaluate, "LONG_WORDS", 6)
    monkeypatch.setattr(evaluate, "SEARCHES", {k: v for k, v in evaluate.SEARCHES.items() if k in ("greedy", "beam 4")})
    monkeypatch.setattr(train, "SIZE", 16)
    for attention in evaluate.KINDS:
        run(train, monkeypatch, str(path), str(work), "--attention", attention, "--updates", "12")
    capsys.readouterr()
    run(evaluate, monkeypatch, str(path), str(work))
    first = capsys.readouterr().out
    assert first.count("| beam 4 |") == 4 and "dot-product attention: " in first
    assert all((work / name).read_bytes().startswith(b"\x89PNG") for name in ("map.png", "lengths.png"))
    monkeypatch.setattr(
        evaluate.Seq2Seq, "__call__", lambda *_: EXAMPLE
    )  # but for the examples nothing is translated again
    run(evaluate, monkeypatch, str(path), str(work))
    assert capsys.readouterr().out.splitlines()[:-2] == first.splitlines()[:-2]
    monkeypatch.undo()
    model = str(work / "dot" / "model.safetensors")
    run(translate, monkeypatch, model, "le chat dort.", "", "--map", str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").exists()
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(SystemExit, match="no model"):
        run(translate, monkeypatch, str(work / "none.safetensors"), "le chat")


EXAMPLE = [Output("x", -1.0, -1.0, ["x", ""], ["a", ""], np.full((2, 2), 0.5))]


def test_without_attention_there_is_no_map(tmp_path):
    with pytest.raises(Error, match="no map"):
        draw_map(replace(EXAMPLE[0], map=None), tmp_path / "map.png")
