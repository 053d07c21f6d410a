"""The recurrent language model: probabilities, batches, training, files."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.language.rnn_network import (
    EOS,
    SPECIAL,
    UNKNOWN,
    AdaptiveSoftmax,
    LanguageOptions,
    RnnLanguageModel,
    load,
    perplexity,
    save,
)
from asr.model.checkpoint import CheckpointError
from asr.training.fit import TrainingError
from asr.training.language_model import LanguageTraining, Sentences, train, vocabulary

WORDS = [*SPECIAL, *"the a dog cat pear apple eats sees and of to in it was".split()]
SMALL = LanguageOptions(size=32, hidden=24, bands=(6, 10))


def make(options: LanguageOptions = SMALL, words: list[str] = WORDS) -> RnnLanguageModel:
    torch.manual_seed(0)
    return RnnLanguageModel(options, words).eval()


def corpus(lines: int, seed: int = 0) -> list[str]:
    """'first NOUN VERB NOUN', where the verb is decided by the first word."""
    rng, verbs = random.Random(seed), {"the": "eats", "a": "sees"}
    nouns = ["dog", "cat", "pear", "apple"]
    firsts = [rng.choice(list(verbs)) for _ in range(lines)]
    return [f"{f} {rng.choice(nouns)} {verbs[f]} {rng.choice(nouns)}" for f in firsts]


@pytest.mark.parametrize("bands", [(), (6,), (6, 10), (100,)])
def test_adaptive_softmax_adds_up_to_one_and_its_two_ways_agree(bands):
    softmax, x = AdaptiveSoftmax(16, 32, bands), torch.randn(5, 32)
    every = softmax.all_log_probs(x)
    assert every.exp().sum(1).detach().numpy() == pytest.approx(np.ones(5), abs=1e-5)
    targets = torch.tensor([0, 5, 6, 10, 15])
    assert torch.allclose(softmax.log_prob(x, targets), every[range(5), targets], atol=1e-5)
    assert softmax.embed(targets).shape == (5, 32)


@pytest.mark.parametrize("cell", ["gru", "lstm", "peephole"])
def test_a_text_is_the_product_of_its_tokens(cell):
    model = make(replace(SMALL, cell=cell))
    state, total = model.start(), 0.0
    for token in [*model.encode("the dog eats"), EOS]:
        total += model.distribution(state)[token]
        state = model.after(state, token)
    assert model.ln_probability(["the dog eats"])[0] == pytest.approx(total, abs=1e-4)


TEXTS = st.lists(st.lists(st.sampled_from([*WORDS[2:], "unheard"]), max_size=6).map(" ".join), max_size=8)


@given(TEXTS)
def test_a_batch_scores_as_one_by_one(texts):
    model = make()
    assert model.ln_probability(texts) == pytest.approx([model.ln_probability([t])[0] for t in texts], abs=1e-4)


def test_unknown_words_share_one_probability():
    as_one, shared = (sum(make().ln_probabilities(["the zebra eats"], n)[0]) for n in (1, 50))
    assert shared == pytest.approx(as_one - math.log(50))
    assert make().encode("the <eos> <unk>") == [make().encode("the")[0], UNKNOWN, UNKNOWN]


def test_characters():
    model = make(replace(SMALL, unit="character"), [*SPECIAL, *"abc "])
    assert model.encode("a cx") == [2, 5, 4, UNKNOWN]
    assert model.ln_probability(["a c"])[0] > model.ln_probability(["a c a c"])[0]


def test_vocabulary_keeps_the_most_frequent():
    words, others = vocabulary(["b a a", "a b c d <unk>"], "word", 4)
    assert words == [*SPECIAL, "a", "b"] and others == 3
    with pytest.raises(TrainingError, match="no words"):
        vocabulary([], "word", 4)


@given(st.integers(20, 200), st.integers(0, 5))
def test_every_sentence_is_in_one_batch_of_an_epoch(tokens, number):
    options = LanguageTraining(batch_tokens=tokens)
    sentences = Sentences(["the dog"] * 7 + ["the"] * 9 + ["a cat sees it"] * 5, make(), options)
    batches = sentences.epoch(number)
    assert sorted(i for batch in batches for i in batch) == list(range(21))
    for batch in batches:
        ids, lengths = sentences.batch(batch)
        assert ids.shape[1] == lengths.max() + 1 and (ids[:, 0] == EOS).all()
        assert all(row[n] == EOS and (row[1:n] != EOS).all() for row, n in zip(ids, lengths))


FAST = LanguageTraining(epochs=6, batch_tokens=100, warmup=5, learning_rate=1e-2, evaluate_every=20)


@pytest.mark.parametrize("cell", ["gru", "lstm", "peephole"])
def test_training_learns_what_depends_on_words_before(tmp_path, cell):
    model, said = make(replace(SMALL, cell=cell)), []
    train(model, corpus(400), corpus(40, 1), FAST, tmp_path, said.append)
    assert 1.8 < perplexity(load(tmp_path / "model.safetensors"), corpus(40, 1)) < 2.6  # at best 2 * 4 * 4 ** (1/5) = 2
    good, bad = model.ln_probability(["the cat eats dog", "the cat sees dog"])
    assert good > bad + 1 and "perplexity" in said[-1]


def test_a_killed_run_ends_in_the_same_weights(tmp_path):
    class Killed(Exception):
        pass

    def kill(_):
        raise Killed

    lines, held_out = corpus(200), corpus(20, 1)
    train(make(), lines, held_out, FAST, tmp_path / "whole", lambda _: None)
    with pytest.raises(Killed):
        train(make(), lines, held_out, FAST, tmp_path / "cut", kill)
    train(make(), lines, held_out, FAST, tmp_path / "cut", lambda _: None)
    whole, cut = (load(tmp_path / name / "model.safetensors").state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    with pytest.raises(TrainingError, match="another text"):
        train(make(words=WORDS[::-1]), lines, held_out, FAST, tmp_path / "cut", print)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    model = make()
    model.narrow.bias.data.fill_(math.nan)
    with pytest.raises(TrainingError, match="not a number"):
        train(model, corpus(200), corpus(20, 1), FAST, tmp_path, print)
    assert not (tmp_path / "model.safetensors").exists()


def test_checkpoint(tmp_path):
    model, path = make(replace(SMALL, unlisted=7)), tmp_path / "a.safetensors"
    save(model, path, {"licence": "none"})
    again = load(path)
    assert again.options == model.options and again.vocabulary == WORDS
    assert again.ln_probability(["the dog"]) == pytest.approx(model.ln_probability(["the dog"]), abs=0.05)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", whole.replace(b'"gru', b'"grx')):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged|not"):
            load(path)
    with pytest.raises(CheckpointError, match="no language model"):
        load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="written by asr-ctc"):
        from asr.model.checkpoint import MODELS

        load(MODELS / "english.safetensors")
