"""Counts on disk: whatever the size of the pieces, after a kill, with a given vocabulary; mixtures; the packed form."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asr.errors import UsageError
from asr.language import kneser_ney, numbered_text
from asr.language.counts import count
from asr.language.kneser_ney import (
    TrainingOptions,
    estimate,
    finished,
    from_counts,
    loss,
    prune,
    renormalised,
    select,
    train,
)
from asr.language.ngram import SPECIAL, NgramModel, load, log_prob, perplexity, save
from asr.language.numbered_text import Vocabulary
from asr.language.packed import pack, quantise, unpack
from recipes.language_model.mixture import fitted, mix, opened, same_words
from tests.test_ngram import corpus

OPTIONS = [
    TrainingOptions(order=1),
    TrainingOptions(order=4, min_word=2, min_counts=(1, 1, 2, 2)),
    TrainingOptions(order=3, max_words=20, max_ngrams=60),
    TrainingOptions(order=5),
]


def same(a: NgramModel, b: NgramModel) -> bool:
    columns = ("word", "first", "log_prob", "backoff")
    levels = zip(a.levels, b.levels, strict=True)
    return a.words == b.words and all(np.array_equal(getattr(x, c), getattr(y, c)) for x, y in levels for c in columns)


def counted(lines, options: TrainingOptions, work: Path, piece: int = 150, prepare=str):
    return count(lines, options.order, options.vocabulary, work, prepare, piece)


@pytest.fixture
def small(monkeypatch):
    """Everything in small portions."""
    monkeypatch.setattr(numbered_text, "BATCH", 7)
    monkeypatch.setattr(kneser_ney, "BLOCK", 50)


@pytest.mark.parametrize("options", OPTIONS)
def test_small_pieces_give_the_same_model_to_the_last_bit(tmp_path, small, options):
    model = from_counts(counted(corpus(), options, tmp_path), options)
    assert len(list(tmp_path.glob("tokens-*.npy"))) > 5
    assert same(model, train(corpus(), options))


def test_counts_are_those_of_a_dictionary(tmp_path, small):
    found = counted(corpus(), TrainingOptions(order=3), tmp_path)
    sentences = [["<s>", *line.split(), "</s>"] for line in corpus()]
    texts = [(word,) for word in found.words]
    assert found.tokens == sum(map(len, sentences))
    for n, level in enumerate(found.levels, start=2):
        expected = Counter(tuple(s[i : i + n]) for s in sentences for i in range(len(s) - n + 1))
        below, texts = texts, [(*texts[c], found.words[w]) for c, w in zip(level.context, level.word)]
        assert dict(zip(texts, level.count.tolist())) == expected
        assert [below[s] for s in level.suffix] == [text[1:] for text in texts]


@pytest.mark.parametrize("after", range(1, 60, 4))
def test_killed_anywhere_it_goes_on(tmp_path, small, monkeypatch, after):
    """Killed at the n-th file that it writes."""
    writes, real = itertools.count(1), numbered_text.atomic_write

    def failing(path):
        if next(writes) == after:
            raise KeyboardInterrupt
        return real(path)

    options = TrainingOptions(order=3, min_word=2)
    monkeypatch.setattr(numbered_text, "atomic_write", failing)
    with pytest.raises(KeyboardInterrupt):
        counted(corpus(150), options, tmp_path)
    monkeypatch.setattr(numbered_text, "atomic_write", real)
    assert same(from_counts(counted(corpus(150), options, tmp_path), options), train(corpus(150), options))


def test_a_folder_of_other_settings_is_refused(tmp_path):
    counted(corpus(20), TrainingOptions(order=2), tmp_path)
    with pytest.raises(UsageError, match="other settings"):
        counted(corpus(20), TrainingOptions(order=3), tmp_path)


def test_lines_without_words_are_told_of(tmp_path):
    lines = ["a b", "12 13 14", "", "c"]
    found = counted(lines, TrainingOptions(order=2), tmp_path, prepare=lambda line: line.strip("1234 "))
    assert vars(found.unused) == {"read": 4, "lines": 2, "words": 3}
    with pytest.raises(UsageError, match="no line can be trained on"):
        counted(["", " "], TrainingOptions(), tmp_path / "none")


def test_a_given_vocabulary_and_foreign_lines(tmp_path):
    words = Vocabulary(words=("pear", "the", "never"), max_unknown=0.5)
    found = count(["the pear", "the apple", "eine birne pear"], 2, words, tmp_path)
    assert found.words == [*SPECIAL, "pear", "the", "never"]
    assert found.foreign == 4 and found.count.tolist() == [1, 2, 2, 1, 2, 0]


# mixtures


def probabilities(model: NgramModel, context: str) -> np.ndarray:
    state = model.start()
    for word in context.split():
        _, state = model.score(state, word)
    return np.exp([model.score(state, word)[0] for word in model.words])


def models() -> list[NgramModel]:
    other = [line.replace("the", "a") for line in corpus(300, seed=5)]
    return [train(corpus(300), TrainingOptions(order=3)), train(other, TrainingOptions(order=3))]


@pytest.mark.parametrize("by_history", [False, True])
def test_a_mixture_of_one_model_is_the_model(by_history):
    model = models()[0]
    again = finished(model.words, mix([opened(model)], [1.0], by_history))
    for line in corpus(30, seed=3):
        assert log_prob(again, line) == pytest.approx(log_prob(model, line), abs=1e-4)


def test_a_static_mixture_adds_up_what_the_models_say_of_what_they_have_seen():
    both, weights = models(), (0.3, 0.7)
    words, levels = same_words(both)
    mixed = finished(words, mix(levels, weights, by_history=False))
    for context in ("", "ban", "ban eats", "fan sees the", "fan sees a", "never heard"):
        expected = 0.0
        for model, weight in zip(both, weights):
            each = dict(zip(model.words, probabilities(model, context)))
            expected += weight * np.array([each.get(word, 0.0) for word in words])
        found = probabilities(mixed, context)
        assert found[2:].sum() + found[0] == pytest.approx(1.0, abs=1e-5)
        if context in ("", "ban", "ban eats"):  # of two words, everything is seen
            likely = expected > 0.02
            assert found[likely] == pytest.approx(expected[likely], rel=0.05)


def test_by_history_the_model_that_foretold_it_speaks():
    both = models()
    words, levels = same_words(both)
    static, bayes = (finished(words, mix(levels, (0.5, 0.5), way)) for way in (False, True))
    mine = corpus(100, seed=9)
    assert perplexity(both[0], mine) < perplexity(bayes, mine) < perplexity(static, mine)


def test_weights_by_em():
    rng = np.random.default_rng(0)
    a, b = likelihoods = rng.uniform(0.01, 1.0, (2, 500))
    found = fitted(likelihoods)
    grid = [(np.log(w * a + (1 - w) * b).sum(), w) for w in np.linspace(0.01, 0.99, 99)]
    assert found.sum() == pytest.approx(1.0) and found[0] == pytest.approx(max(grid)[1], abs=0.03)


def test_models_of_different_orders_are_not_mixed():
    with pytest.raises(UsageError, match="same order"):
        same_words([train(corpus(20), TrainingOptions(order=n)) for n in (2, 3)])


def test_pruning_by_entropy_drops_first_what_costs_least(tmp_path):
    """The loss of each trigram by summing up over all words (Stolcke 1998, equation 2)."""

    levels = estimate(counted(corpus(60), TrainingOptions(order=2), tmp_path))
    words = [*SPECIAL, *train(corpus(60), TrainingOptions(order=2)).words[3:]]
    losses = loss(levels[1], levels[0])
    before = finished(words, levels)
    for row in range(0, len(losses), 7):
        keep = [np.ones(len(levels[0]), bool), np.arange(len(losses)) != row]

        after = finished(words, renormalised(select(levels, keep)))
        context = levels[1].context[row]
        state = (int(context),)
        p, q = (np.array([m.score(state, w)[0] for w in words if w != "<s>"]) for m in (before, after))
        expected = levels[0].share[context] * float(np.exp(p) @ (p - q))
        assert losses[row] == pytest.approx(expected, abs=1e-6)
    assert sum(len(x) for x in prune(levels, 20)[1:]) <= 20


# the packed form


@pytest.mark.parametrize("bits", [1, 7, 8, 17, 25, 33, 49, 57, 63])
def test_bits_come_back(bits):
    values = np.random.default_rng(bits).integers(0, 1 << bits, 101, np.uint64)
    assert np.array_equal(unpack(pack(values, bits), 101, bits), values)


@pytest.mark.parametrize("options", OPTIONS)
def test_packed_is_the_same(tmp_path, options):
    model = train(corpus(), options)
    assert same(NgramModel(model.words, model.packed), model)
    save(model, tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    for a, b in zip(model.levels, again.levels, strict=True):
        assert np.array_equal(a.word, b.word) and np.array_equal(a.first, b.first)
        assert a.log_prob == pytest.approx(b.log_prob, abs=0.5)
    assert np.load(tmp_path / "a.npz")["records1"].dtype == np.uint8  # as numpy reads it


def test_every_array_is_aligned(tmp_path):
    save(train(corpus(), OPTIONS[1]), tmp_path / "a.npz")
    for level in load(tmp_path / "a.npz").packed:
        assert level.ranks.ctypes.data % 64 == 0 and level.records.ctypes.data % 64 == 0


def test_the_settings_are_kept_with_the_counts(tmp_path):
    counted(corpus(20), TrainingOptions(order=2), tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["order"] == 2


def test_files_of_version_1_are_read(tmp_path):
    model = train(corpus(), OPTIONS[1])
    header = {"format": "n-gram language model", "version": 1, "order": model.order}
    texts = {"header": json.dumps(header), "words": "\n".join(model.words)}
    arrays = {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}
    for n, level in enumerate(model.levels, start=1):
        arrays[f"word{n}"] = np.diff(level.word, prepend=level.word[:1] * 0).view(np.uint8).reshape(-1, 4).T
        arrays[f"children{n}"] = np.diff(level.first)
        for name in ("log_prob", "backoff"):
            codes, table = quantise(getattr(level, name))
            arrays[f"{name}{n}"], arrays[f"{name}_table{n}"] = (codes, table) if n > 1 else (getattr(level, name), [])
    np.savez_compressed(tmp_path / "old.npz", **arrays)
    save(model, tmp_path / "new.npz")
    assert same(load(tmp_path / "old.npz"), load(tmp_path / "new.npz"))
