"""The recipe of the recurrent language model: its mixture of texts, beginning with another model, perplexity of two."""

import math
import random
from collections import Counter

import pytest
import torch

from asr.language.kneser_ney import TrainingOptions
from asr.language.kneser_ney import train as train_ngram
from asr.language.rnn_network import SPECIAL, LanguageOptions, RnnLanguageModel
from recipes.language_model import rnn


def make(words: str, bands: tuple[int, ...]) -> RnnLanguageModel:
    torch.manual_seed(0)
    return RnnLanguageModel(LanguageOptions(size=32, hidden=24, bands=bands), [*SPECIAL, *words.split()]).eval()


def test_each_register_has_its_share_of_the_words(tmp_path):
    for name in rnn.SHARES:
        times = 2 if name == "requests" else 1000
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} line {i}\n" for i in range(times)))
    lines = rnn.mixture(tmp_path, 6000, random.Random(0))
    counts = Counter(line.split()[0] for line in lines)
    assert counts == {"books": 800, "reference": 400, "talk": 280, "everyday": 320, "requests": 8}
    assert Counter(lines)["requests line 1"] == rnn.MOST_TIMES
    assert lines == rnn.mixture(tmp_path, 6000, random.Random(0))


def test_a_model_that_takes_over_all_words_gives_the_same_probabilities():
    old, new = make("the cat a dog sees pear", (4, 6)), make("the cat a dog sees pear", (4, 6))
    torch.nn.init.normal_(new.layer.weight_hh_l0)
    rnn.take_over(new, old)
    texts = ["the cat sees a pear", "dog"]
    assert new.ln_probability(texts) == pytest.approx(old.ln_probability(texts), abs=1e-3)


def test_words_may_change_their_bands_and_new_ones_come():
    old, new = make("the cat a dog sees pear", (6,)), make("zebra the pear ape cat a dog sees", (4, 8))
    rnn.take_over(new, old)
    theirs, ours = ({w: i for i, w in enumerate(m.vocabulary)} for m in (old, new))
    for word in ("the", "pear"):  # in the first band of both, and from the second to the first
        vectors = (m.softmax.embed(torch.tensor([ids[word]])) for m, ids in ((old, theirs), (new, ours)))
        assert torch.allclose(*vectors, atol=1e-4)
        assert new.softmax.bias[ours[word]] == old.softmax.bias[theirs[word]]
    assert torch.equal(new.layer.weight_hh_l0, old.layer.weight_hh_l0)


def test_perplexity_of_two_models_mixed_word_by_word():
    ngram = train_ngram(["the cat sees", "a dog sees the pear"] * 3, TrainingOptions(order=2))
    model = make("the cat", ())
    assert rnn.unlisted(model.vocabulary, ngram) == 4
    by_ngram = list(rnn.scores(ngram, "the dog"))
    assert rnn.perplexity(model, ngram, ["the dog"], 0.0) == pytest.approx(math.exp(-sum(by_ngram) / 3))
    by_rnn = model.ln_probabilities(["the dog"], 4)[0]
    assert rnn.perplexity(model, ngram, ["the dog"], 1.0) == pytest.approx(math.exp(-sum(by_rnn) / 3))
    mean = [0.5 * math.exp(a) + 0.5 * math.exp(b) for a, b in zip(by_rnn, by_ngram)]
    assert rnn.perplexity(model, ngram, ["the dog"], 0.5) == pytest.approx(math.prod(mean) ** (-1 / 3))
