"""N-gram models: Kneser-Ney by hand and by summing up, pruning, ARPA and the compact file."""

import bz2
import gzip
import itertools
import lzma
import math
import random

import numpy as np
import pytest

from asr.errors import UsageError
from asr.language import arpa, ngram, packed
from asr.language.kneser_ney import FALLBACK, TrainingOptions, train
from asr.language.ngram import SPECIAL, load, log_prob, perplexity, save
from asr.language.open import open_language, with_spoken_words
from asr.model.onnx import load_model
from asr.search.decoder import Decoder
from asr.search.options import DecoderOptions

NOUNS, VERBS = ["pear", "apple", "salad", "dog", "cat", "child"], ["eats", "sees", "likes", "has"]


def corpus(lines: int = 400, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    people = [f"{a}{b}" for a, b in itertools.product("bcdfg", ["an", "ob", "ill", "eth"])]
    return [
        f"{rng.choice(people)} {rng.choice(VERBS)} the {rng.choice(NOUNS)}"
        + (f" and the {rng.choice(NOUNS)}" if rng.random() < 0.5 else "")
        for _ in range(lines)
    ]


OPTIONS = [
    TrainingOptions(order=1),
    TrainingOptions(order=3),
    TrainingOptions(order=4, min_word=3, min_counts=(1, 1, 2, 2)),
    TrainingOptions(order=3, max_words=20, max_ngrams=60),
]


@pytest.fixture(scope="module")
def model():
    return train(corpus(), TrainingOptions(order=3, min_word=2))


@pytest.mark.parametrize("options", OPTIONS)
def test_probabilities_add_up_to_one_after_any_words(options):
    model = train(corpus(), options)
    for context in ("", "ban", "ban eats", "ban eats the", "never heard", "pear and the", "the the the"):
        state = model.start()
        for word in context.split():
            _, state = model.score(state, word)
        total = sum(math.exp(model.score(state, w)[0]) for w in model.words if w != "<s>")
        assert total == pytest.approx(1.0, abs=1e-5), context


def test_bigrams_by_hand():
    """Counts, by Kneser-Ney: 'a' follows <s>, 'b' follows a and b, </s> follows b."""
    model = train(["a b", "a b b"], TrainingOptions(order=2))
    d1, d2, _ = FALLBACK  # too little text to estimate discounts
    unseen = (2 * d1 + d2) / 4 / 4  # a: 1, b: 2, </s>: 1; what is taken off is shared by a, b, </s>, <unk>
    b = (2 - d2) / 4 + unseen
    after_a = (2 - d2) / 2 + d2 / 2 * b
    _, state = model.score(model.start(), "a")
    assert math.exp(model.score(state, "b")[0]) == pytest.approx(after_a, rel=1e-5)
    _, state = model.score(state, "b")
    after_b = (1 - d1) / 3 + (d1 + d2) / 3 * b
    assert math.exp(model.score(state, "b")[0]) == pytest.approx(after_b, rel=1e-5)


def test_what_was_seen_is_likelier(model):
    assert log_prob(model, "ban eats the pear") > log_prob(model, "ban the eats pear") + 2
    assert "pear" in model and "pair" not in model
    assert model.score(model.start(), "pair") == model.score(model.start(), "<unk>")
    assert perplexity(model, corpus(50, seed=1)) < 10 < perplexity(model, ["the the the", "pear pear"])


def test_best_completion(model):
    unigrams = {w: p for w, p in zip(model.words, model.levels[0].log_prob.tolist()) if w not in SPECIAL}
    assert model.best_completion("") == max(unigrams.values())
    assert model.best_completion("s") == max(p for w, p in unigrams.items() if w.startswith("s"))
    assert model.best_completion("pear") == unigrams["pear"]
    assert model.best_completion("pearl") is None


def test_pruning_keeps_what_matters():
    lines, unseen = corpus(3000), corpus(200, seed=1)
    full = train(lines, TrainingOptions(order=3))
    count = sum(len(x.word) for x in full.levels[1:])
    pruned = train(lines, TrainingOptions(order=3, max_ngrams=count // 3))
    assert sum(len(x.word) for x in pruned.levels[1:]) <= count // 3 + 50
    assert perplexity(pruned, unseen) < 1.1 * perplexity(full, unseen)


def test_rare_words_become_unknown():
    model = train(["a b", "a c", "a a"], TrainingOptions(order=2, min_word=2))
    assert model.words == [*SPECIAL, "a"]
    _, state = model.score(model.start(), "a")
    assert math.exp(model.score(state, "never")[0]) > 0.2


@pytest.mark.parametrize("options", OPTIONS)
def test_arpa_round_trip(tmp_path, options):
    model = train(corpus(), options)
    arpa.write(model, tmp_path / "a.arpa")
    again = arpa.read(tmp_path / "a.arpa")
    assert again.words == model.words
    for line in (*corpus(50, seed=2), "unknown words here"):
        assert log_prob(again, line) == pytest.approx(log_prob(model, line), abs=1e-3)


def test_arpa_as_kenlm_reads_it(tmp_path, model):
    kenlm = pytest.importorskip("kenlm")
    arpa.write(model, tmp_path / "a.arpa")
    theirs = kenlm.Model(str(tmp_path / "a.arpa"))
    for line in (*corpus(50, seed=2), "unknown words here", "the the"):
        assert log_prob(model, line) / math.log(10) == pytest.approx(theirs.score(line), abs=1e-3)


def test_arpa_in_any_order_without_suffixes_or_unknown(tmp_path):
    """A bigram whose context has no unigram backoff, no <unk>, and a trigram without its suffix bigram."""
    text = (
        "made by hand\n\\data\\\nngram 1=4\nngram 2=2\nngram 3=1\n\n\\1-grams:\n-1 b\n-99 <s> -0.5\n"
        "-0.7 </s>\n-0.3 a -0.2\n\n\\2-grams:\n-0.4 <s> a -0.1\n-0.6 a a -0.25\n\n"
        "\\3-grams:\n-0.05 <s> a b\n\n\\end\\\n"
    )
    (tmp_path / "a.arpa").write_text(text)
    model = arpa.read(tmp_path / "a.arpa")
    expected = -0.4 - 0.05 - 0.7  # "b" backs off without weights
    assert log_prob(model, "a b") / math.log(10) == pytest.approx(expected, abs=1e-5)
    expected = -0.4 + (-0.1 - 0.6) + (-0.25 - 0.2 - 1) - 0.7
    assert log_prob(model, "a a b") / math.log(10) == pytest.approx(expected, abs=1e-5)
    assert model.score(model.start(), "zebra")[0] / math.log(10) == pytest.approx(-0.5 - 7.0)


GOOD = "\\data\\\nngram 1=2\nngram 2=1\n\n\\1-grams:\n-1 <s> 0\n-1 a 0\n\n\\2-grams:\n-1 <s> a\n\n\\end\\\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD[:-8], "ends before"),
        (GOOD.replace("ngram 1=2", "ngram 1=3"), "has 2 1-grams and promises 3"),
        (GOOD.replace("-1 <s> a", "-1 <s> b"), "line 10 is not a 2-gram"),
        (GOOD.replace("-1 a 0", "x a 0"), "line 7 is not a 1-gram"),
        (GOOD.replace("-1 a 0", "-1 <s> 0"), "not a 2-gram|listed twice"),
        (GOOD.replace("ngram 2=1", "2 ngrams"), "line 3 should say"),
        ("hello\n", "is no ARPA file"),
    ],
)
def test_bad_arpa_files_are_refused(tmp_path, text, says):
    path = tmp_path / "bad.arpa"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        arpa.read(path)


def test_unreadable_files(tmp_path, model):
    with pytest.raises(UsageError, match="no ARPA file"):
        arpa.read(tmp_path / "none.arpa")
    (tmp_path / "latin.arpa").write_bytes(b"\\data\\\n\xe9\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        arpa.read(tmp_path / "latin.arpa")
    with pytest.raises(UsageError, match="no language model"):
        load(tmp_path / "none.npz")
    save(model, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", whole[:400] + b"!" * 50 + whole[450:]):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(UsageError, match="damaged"):
            load(tmp_path / "a.npz")


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("version", [2, 3])
def test_compact_file_scores_as_the_model(tmp_path, options, version, monkeypatch):
    if version == 2:  # whose tables had 256 values
        monkeypatch.setattr(packed, "CODE", 8)
        monkeypatch.setattr(ngram, "VERSION", 2)
    model = train(corpus(), options)
    save(model, tmp_path / "a.npz")
    monkeypatch.undo()
    again = load(tmp_path / "a.npz")
    assert again.words == model.words
    for before, after in zip(model.levels, again.levels):
        assert np.array_equal(before.word, after.word) and np.array_equal(before.first, after.first)
    lines = corpus(100, seed=3)
    assert perplexity(again, lines) == pytest.approx(perplexity(model, lines), rel=0.02)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_states_with_the_same_future_are_equal(model):
    def state(text):
        now = model.start()
        for word in text.split():
            _, now = model.score(now, word)
        return now

    assert state("ban eats the pear and the") == state("dob has the pear and the")
    assert state("ban eats") != state("ban sees")


def test_no_words_and_bad_options():
    with pytest.raises(UsageError, match="no line can be trained on"):
        train(["", " "])
    with pytest.raises(UsageError, match="may not fall"):
        train(["a"], TrainingOptions(min_counts=(1, 2, 1)))


OTHERS = (
    "  made by another toolkit\r\n\\data\\ \r\nngram  1 =\t5\r\nngram 2= 1\r\n\r\n\\1-grams: \r\n"
    "-1.5\t<UNK>\r\n-99 <s>\t-0.5\r\n"
    "-0.7\t</s>\r\n-0.3   a\t -0.2\r\n-0.9\tnew\u00a0york\r\n\r\n\\2-grams :\r\n-0.4\t<s> a\r\n\r\n\\End\\\r\n"
)


@pytest.mark.parametrize("packed", ["", "gz", "bz2", "xz"])
def test_arpa_of_other_toolkits(tmp_path, packed):
    """Blanks and tabs in headers and lines, <UNK>, Windows line ends, a word with a no-break space, compressed."""
    pack = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[packed]
    path = tmp_path / "lm.anything"
    path.write_bytes(pack(OTHERS.encode()))
    model = arpa.read(path)
    assert model.words == [*SPECIAL, "a", "new\u00a0york"]
    assert log_prob(model, "a") / math.log(10) == pytest.approx(-0.4 - 0.2 - 0.7, abs=1e-5)
    assert model.score((), "zebra")[0] / math.log(10) == pytest.approx(-1.5, abs=1e-5)
    assert open_language(str(path)).knows("a")
    if packed:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UsageError, match="cut off or damaged"):
            arpa.read(path)


def test_words_in_capitals_are_read_as_the_recogniser_writes_them(caplog):
    model = train(
        ["A CAF\u00c9", "a tree", "Tree O\u2019NEILL 9 A"], TrainingOptions(order=2, min_word=1, min_counts=(1, 1))
    )
    folded = with_spoken_words(model, "capitals")
    assert {"a", "cafe", "tree", "o'neill"} <= set(folded.words) and {"A", "Tree", "9"} <= set(folded.words)
    assert folded.number("a") == model.number("a") and folded.number("o'neill") == model.number("O\u2019NEILL")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("capitals: 2 of 10 words are read in lower case")
    assert "capitals: 3 of 10 words cannot be recognised" in second
    with pytest.raises(UsageError, match="no word of numbers can be recognised"):
        with_spoken_words(train(["1 2 3"], TrainingOptions(order=1, min_word=1, min_counts=(1,))), "numbers")
    plain = train(["a tree"], TrainingOptions(order=1, min_word=1, min_counts=(1,)))
    assert with_spoken_words(plain, "plain") is plain and len(caplog.records) == 2


def test_a_model_in_capitals_decodes_as_one_in_small_letters(tmp_path):
    sentences = ["eat a pear", "a bee", "eat tea", "tea a pear"]
    for name, lines in {"small": sentences, "large": [line.upper() for line in sentences]}.items():
        arpa.write(train(lines, TrainingOptions(order=2, min_word=1, min_counts=(1, 1))), tmp_path / f"{name}.arpa")
    acoustic, card = load_model()
    rows = np.random.default_rng(1).dirichlet(np.full(len(acoustic.options.phonemes) + 1, 0.1), 40)
    letters, phonemes = np.full((40, len(acoustic.alphabet)), -3.0, np.float32), np.log(rows + 1e-4).astype(np.float32)
    small, large = (
        Decoder(acoustic, card, DecoderOptions(beam=16, language=str(tmp_path / f"{name}.arpa")))(letters, phonemes)
        for name in ("small", "large")
    )
    assert [h.text for h in large] == [h.text for h in small] and large[0].score == pytest.approx(small[0].score)
