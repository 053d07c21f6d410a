"""The command `asr lm`: training, scoring, sampling, and what it says of bad input."""

import io
import lzma
import math
import random
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from asr.cli import main
from asr.language import arpa
from asr.language.ngram import load as load_ngram
from asr.language.open import NgramLanguage, open_language, sample
from asr.model.checkpoint import load_weights, locate

APPLE = "the apple and {} salad was delicious"


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    try:
        status = main(["lm", *map(str, arguments)])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def text(tmp_path):
    rng = random.Random(0)
    nouns = "dog cat pear apple tree".split()
    lines = [f"The {rng.choice(nouns)} sees a {rng.choice(nouns)}." for _ in range(300)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join([*lines, "Room 101", "", "It's Tom & Ann's café!"]))
    return path


@pytest.mark.parametrize("name", ["a.npz", "a.arpa"])
def test_train_an_ngram_then_score(capsys, tmp_path, text, name):
    status, out, err = run(capsys, "train", text, "--order", 3, "--output", tmp_path / name)
    assert status == 0 and not out and "1 of 302 lines left out" in err and "3-grams" in err
    model = (arpa.read if name.endswith("arpa") else load_ngram)(tmp_path / name)
    assert model.order == 3 and "cafe" in model and "and" in model
    (tmp_path / "test.txt").write_text("The dog sees a cat.\nthe dog sees a zebra\n")
    status, out, _ = run(capsys, "score", "--model", tmp_path / name, tmp_path / "test.txt")
    rows = [line.split("\t") for line in out.splitlines()]
    assert status == 0 and [r[2] for r in rows] == ["the dog sees a cat", "the dog sees a zebra"]
    for log10, perplexity, _ in rows:
        assert float(perplexity) == pytest.approx(10 ** (-float(log10) / 6), rel=1e-2)
    assert float(rows[0][0]) > float(rows[1][0])
    status, out, _ = run(capsys, "perplexity", "--model", tmp_path / name, tmp_path / "test.txt")
    assert status == 0 and out.split("\t")[1:] == ["2 sentences", "10 tokens", "1 unknown\n"]
    both = 10 ** (-sum(float(r[0]) for r in rows) / 12)
    assert float(out.split("\t")[0]) == pytest.approx(both, rel=1e-2)


@pytest.mark.parametrize("more", [(), ("--cell", "lstm", "--unit", "character")])
def test_train_a_recurrent_model_then_score_and_say(capsys, tmp_path, text, more):
    path = tmp_path / "a.safetensors"
    arguments = ("train", text, "--rnn", "--hidden", 32, "--epochs", 30, "--output", path, *more)
    status, out, err = run(capsys, *arguments)
    assert status == 0 and not out and "perplexity" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "text.txt"]
    status, out, _ = run(capsys, "score", "--model", path, text)
    assert status == 0 and len(out.splitlines()) == 302
    said = [run(capsys, "say", "--model", path, "--seed", s, "--count", 3, "--words", 40)[1] for s in (1, 1, 2)]
    assert said[0] == said[1] != said[2] and len(said[0].splitlines()) == 3


def test_pear_salad_by_the_packaged_models(capsys, monkeypatch):
    """By the n-grams alone, and by both with the recogniser's weights. The RNN alone has read too little of pears."""
    by = {}
    for model in ("english-lm", "english-rnn"):
        sentences = "\n".join(APPLE.format(w) for w in ("pear", "pair"))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sentences.encode())))
        status, out, _ = run(capsys, "score", "-", "--model", model)
        pear, pair = (float(line.split("\t")[0]) for line in out.splitlines())
        assert status == 0
        by[model] = pear - pair
    weights = load_weights(locate("english"))[2]["weights"]["lexicon"]
    both = (weights["lm"] - weights["rnn"]) * by["english-lm"] + weights["rnn"] * by["english-rnn"]
    assert by["english-lm"] > 0 and both > 0


def test_xz(capsys, tmp_path):
    path = tmp_path / "a.txt.xz"
    path.write_bytes(lzma.compress(b"Hello there.\n"))
    status, out, _ = run(capsys, "score", path)
    assert status == 0 and out.endswith("\thello there\n")
    path.write_bytes(path.read_bytes()[:-10])
    status, _, err = run(capsys, "score", path)
    assert status == 2 and "cut off" in err


def test_raw_text_is_left_alone(capsys, tmp_path):
    (tmp_path / "a.txt").write_text("Über Maß 12\n" * 3)
    status, _, _ = run(capsys, "train", tmp_path / "a.txt", "--raw", "--output", tmp_path / "a.npz")
    assert status == 0 and {"Über", "Maß", "12"} <= set(load_ngram(tmp_path / "a.npz").words)


def test_say_by_the_packaged_ngram(capsys):
    status, out, _ = run(capsys, "say", "--seed", 3, "--count", 4, "--words", 5)
    assert status == 0 and all(1 <= len(line.split()) <= 5 for line in out.splitlines())
    assert run(capsys, "say", "--seed", 3, "--count", 4, "--words", 5)[1] == out
    assert "<unk>" not in out and len(out.splitlines()) == 4


def test_the_distribution_of_an_ngram_is_its_scores():
    language = open_language("english-lm")
    assert isinstance(language, NgramLanguage)
    state = language.start()
    for word in "we went to the".split():
        state = language.model.score(state, word)[1]
    found = language.distribution(state)
    for word in ("house", "sea", "of", "</s>", "zebra"):
        token = language.model.words.index(word)
        assert found[token] == pytest.approx(language.model.score(state, word)[0], abs=1e-5)


def test_low_temperatures_say_the_likeliest():
    class Coin:
        end = 2

        def start(self):
            return None

        def distribution(self, state):
            return np.log(np.array([0.5, 0.3, 0.2]))

        def after(self, state, token):
            return None

        def join(self, ids):
            return "".join("ab"[i] for i in ids)

    rng = np.random.default_rng(0)
    assert sample(Coin(), rng, 0.01, 5) == "aaaaa"
    lengths = [len(sample(Coin(), rng, 1.0, 100)) for _ in range(400)]
    assert min(lengths) == 1 and np.mean(lengths) == pytest.approx(5, abs=0.6)  # 1 + 0.8 / 0.2


def bad_inputs(folder) -> dict[str, tuple]:
    (folder / "latin.txt").write_bytes("one\ncafé\n".encode("latin-1"))
    (folder / "empty.txt").write_text(" \n\n")
    (folder / "digits.txt").write_text("12\n")
    (folder / "good.txt").write_text("a good line\n")
    (folder / "cut.arpa").write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 a\n")
    (folder / "text.npz").write_text("no model at all")
    good, out = folder / "good.txt", folder / "out.npz"
    return {
        "line 2, is not UTF-8": ("train", folder / "latin.txt", "--output", out),
        "holds no text": ("train", folder / "empty.txt", "--output", out),
        "no line can be trained on": ("train", folder / "digits.txt", "--output", out),
        "cannot read": ("score", folder / "missing.txt"),
        "line 2, is not UTF-8 ": ("score", folder / "latin.txt"),
        "holds no text ": ("perplexity", folder / "empty.txt"),
        "ends before": ("score", good, "--model", folder / "cut.arpa"),
        "is no ARPA file": ("say", "--model", folder / "text.npz"),
        "written by asr-ctc": ("score", good, "--model", "english"),
        "no language model called": ("score", good, "--model", "klingon"),
        r"ends in \.npz or \.arpa": ("train", good, "--output", folder / "out.txt"),
        r"ends in \.safetensors": ("train", good, "--rnn", "--output", out),
        "folder that exists": ("train", good, "--output", folder / "none" / "out.npz"),
        "min_counts may not fall": ("train", good, "--output", out, "--min-counts", 2, 1),
        "not a number above 0": ("say", "--temperature", 0),
        "not a whole number above 0": ("say", "--count", 0),
        "--hidden: not for an n-gram": ("train", good, "--output", out, "--hidden", 3),
        "--max-ngrams: not for a recurrent": ("train", good, "--rnn", "--output", out, "--max-ngrams", 3),
        "read once only": ("train", "-", "-", "--output", out),
    }


def test_bad_input_is_one_sentence_and_status_2_and_nothing_is_written(capsys, tmp_path):
    cases = bad_inputs(tmp_path)
    before = sorted(tmp_path.iterdir())
    for says, arguments in cases.items():
        status, out, err = run(capsys, *arguments)
        assert status == 2 and not out and re.search(says.strip(), err), (says, err)
        assert err.splitlines()[-1].count("error: ") == 1 and "Traceback" not in err
        assert sorted(tmp_path.iterdir()) == before, says


@pytest.mark.parametrize("number", ["nan", "0.5", "inf"])
def test_arpa_files_with_impossible_probabilities_are_refused(tmp_path, number):
    path = tmp_path / "a.arpa"
    path.write_text(f"\\data\\\nngram 1=2\n\n\\1-grams:\n-1 <s>\n{number} a\n\n\\end\\\n")
    with pytest.raises(Exception, match="line 6"):
        arpa.read(path)


def test_arpa_minus_infinity_is_never(tmp_path):
    path = tmp_path / "a.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-inf <s>\n-1 a\n\n\\end\\\n")
    assert math.isfinite(arpa.read(path).levels[0].log_prob.min())
