"""The encoder-decoder for text: numpy is torch, masks, the search, copying, files, what it learns."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from asr.attention.search import EOS, SearchOptions
from asr.attention.seq2seq import UNKNOWN, Output, Seq2Seq, Seq2SeqOptions, Vocabulary
from asr.errors import Error
from asr.model.checkpoint import MODELS, CheckpointError
from asr.training.fit import TrainingError
from recipes.seq2seq import Pairs, Seq2SeqTraining, mean_loss, train
from recipes.translation.network import Seq2SeqNetwork, characters, subwords

torch.set_num_threads(1)
SMALL = Seq2SeqOptions(embedding=6, hidden=5, energy=4, layers=2, dropout=0.0, smoothing=0.0, forget=0.0)
KINDS = ["additive", "dot", "none"]
READS, WRITES = Vocabulary("abcd"), Vocabulary("xy")
GREEDY = SearchOptions(beam=1, length=0.0)


def make(attention: str = "additive", seed: int = 1) -> Seq2SeqNetwork:
    """Of random weights, large enough for opinions."""
    torch.manual_seed(seed)
    network = Seq2SeqNetwork(replace(SMALL, attention=attention), READS, WRITES).eval()
    for p in network.parameters():
        nn.init.normal_(p, std=0.7)
    return network


def by_torch(network: Seq2SeqNetwork, source: str, target: str) -> tuple[float, np.ndarray]:
    """ln probability of a target, and where each of its symbols looked."""
    ids = torch.tensor([[*READS.ids(source), EOS]])
    after = torch.tensor([*WRITES.ids(target), EOS])
    with torch.no_grad():
        read, weights = network(ids, torch.tensor([ids.shape[1]]), torch.tensor([[EOS, *after[:-1]]]))
        log_probs = network.decoder.log_probs(read)[0]
    return log_probs[range(len(after)), after].sum().item(), weights[0].numpy()


@pytest.mark.parametrize("attention", KINDS)
def test_numpy_is_torch(attention):
    network = make(attention)
    for source, target in (("abca", "xyx"), ("", "y"), ("dZd", "")):
        expected, weights = by_torch(network, source, target)
        assert network.numpy().ln_probability(source, [target])[0] == pytest.approx(expected, abs=1e-5)
    if attention != "none":
        [found] = network.numpy()("abca", GREEDY, allowed=forced("xyx"))
        assert found.text == "xyx" and found.source == ["a", "b", "c", "a", ""] and found.symbols[-1] == ""
        assert found.map == pytest.approx(by_torch(network, "abca", "xyx")[1], abs=1e-5)
        assert found.map.sum(1) == pytest.approx(np.ones(4), abs=1e-5)


def forced(text: str):
    """A hook that lets nothing but the text be written."""
    return lambda so_far: [[*text, ""][len(so_far)]]


@pytest.mark.parametrize("attention", KINDS)
def test_padding_changes_nothing(attention):
    network, options = make(attention), Seq2SeqTraining(batch_tokens=1000)
    pairs = [("abcdabcd", "xyxy"), ("d", "x"), ("abc", "yyyyyy")]
    alone = [mean_loss(network, Pairs([pair], network, options)) * (len(pair[1]) + 1) for pair in pairs]
    assert mean_loss(network, Pairs(pairs, network, options)) == pytest.approx(sum(alone) / 14, abs=1e-5)


def score(text: str, ln_probability: float, length: float) -> float:
    return ln_probability / (len(text) + 1) ** length


@pytest.mark.parametrize("attention, length", [("additive", 0.0), ("dot", 0.7), ("none", 1.0)])
def test_a_wide_search_finds_the_best_of_all_texts(attention, length):
    model = make(attention, 3).numpy()
    model.target.symbols[UNKNOWN] = "?"
    texts = ["".join(t) for n in range(6) for t in itertools.product("xy?", repeat=n)]
    scores = {t: score(t, p, length) for t, p in zip(texts, model.ln_probability("ab", texts))}
    best = sorted(scores, key=scores.get, reverse=True)
    wide = SearchOptions(beam=500, length=length, width=math.inf)
    short = lambda so_far: None if len(so_far) < 5 else [""]  # noqa: E731
    found = model("ab", wide, n_best=3, allowed=short)
    assert [f.score for f in found] == pytest.approx([scores[t] for t in best[:3]], abs=1e-5)
    assert found[0].score > model("ab", replace(wide, beam=1), allowed=short)[0].score - 1e-5


def test_a_hook_says_what_may_come_next():
    model = make().numpy()
    assert model("abc", GREEDY, allowed=forced("yyxy"))[0].text == "yyxy"
    assert model("abc", GREEDY, allowed=lambda so_far: []) == []
    [one] = model("abc", SearchOptions(beam=3), allowed=lambda so_far: [""] if so_far else "xy")
    assert len(one.symbols) == 2


def test_what_it_does_not_know_is_copied_from_where_it_looked():
    model = make().numpy()
    found: Output = model("aZc", GREEDY, allowed=lambda so_far: ["<unk>"] if len(so_far) < 2 else [""])[0]
    looked = [found.source[int(i)] for i in found.map.argmax(1)]
    assert found.symbols[:2] == looked[:2] and found.text == "".join(looked[:2])


# vocabularies


def test_characters_and_pieces():
    some = characters(["abca", "ab"], least=2)
    assert some.symbols[2:] == ["a", "b"] and some.ids("abc") == [2, 3, UNKNOWN] and some.join("ac b") == "ac b"
    texts = ["the cat sat", "the cats sit", "A cat sat.", "déjà vu, the cat"] * 20
    pieces = subwords(texts, 60)
    for text in texts:
        assert pieces.join(pieces.split(text)) == text and UNKNOWN not in pieces.ids(pieces.split(text))
    assert len(pieces.split("the cat")) < 6 and len(pieces) <= 60
    split = pieces.split("the  ☃cat")
    assert pieces.join(split) == "the ☃cat" and pieces.ids(split).count(UNKNOWN) == 1
    again = Vocabulary(pieces.symbols[2:], pieces.scores)
    assert again.split("sits.") == pieces.split("sits.")


# learning and files


def reversed_words(count: int, seed: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcd", k=rng.randint(2, 5))) for _ in range(count)]
    return [(word, word[::-1]) for word in words]


FAST = Seq2SeqTraining(updates=120, batch_tokens=300, learning_rate=1e-2, evaluate_every=60)


def network_for(attention: str) -> Seq2SeqNetwork:
    torch.manual_seed(0)
    letters = Vocabulary("abcd")
    return Seq2SeqNetwork(Seq2SeqOptions(attention, 16, 32, energy=16, dropout=0.0), letters, letters)


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_it_learns_to_reverse_and_where_to_look(tmp_path, attention):
    unseen = reversed_words(40, 2)
    train(network_for(attention), reversed_words(2000, 1), unseen, FAST, tmp_path, lambda _: None, {"licence": "none"})
    model = Seq2Seq.load(tmp_path / "model.safetensors")
    outputs = [model(a)[0] for a, _ in unseen]
    assert np.mean([o.text == b for o, (_, b) in zip(outputs, unseen)]) > 0.9
    assert model.card["licence"] == "none" and model.card["updates"] > 0
    at = np.concatenate([o.map[:-1].argmax(1) - np.arange(len(o.text))[::-1] for o in outputs if len(o.text) > 2])
    assert np.mean(np.abs(at) <= 1) > 0.8


def test_a_killed_run_ends_in_the_same_weights(tmp_path):
    def kill(_):
        raise KeyboardInterrupt

    pairs, some = reversed_words(300, 1), reversed_words(10, 2)
    short = replace(FAST, updates=12, evaluate_every=5)
    train(network_for("dot"), pairs, some, short, tmp_path / "whole", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        train(network_for("dot"), pairs, some, short, tmp_path / "cut", kill)
    train(network_for("dot"), pairs, some, short, tmp_path / "cut", lambda _: None)
    whole, cut = (Seq2Seq.load(tmp_path / f / "model.safetensors") for f in ("whole", "cut"))
    assert (
        whole.ln_probability("abc", ["cba", "a"]) == cut.ln_probability("abc", ["cba", "a"]) and whole.card == cut.card
    )
    with pytest.raises(TrainingError, match="another model"):
        train(network_for("additive"), pairs, some, short, tmp_path / "cut", print)
    with pytest.raises(TrainingError, match="no pairs"):
        train(network_for("dot"), [("a" * 200, "b")], some, short, tmp_path / "none", print)


def test_files(tmp_path):
    network, path = make(), tmp_path / "a.safetensors"
    network.save(path, {"name": "a"})
    model = Seq2Seq.load(path)
    assert model.options == network.options and model.card == {"name": "a"}
    assert model.ln_probability("ab", ["xy"]) == pytest.approx(network.numpy().ln_probability("ab", ["xy"]), abs=0.05)
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        whole.replace(b"additive", b"addition"),
        whole.replace(b'\\"a\\", \\"b\\"', b'\\"a\\",     '),
    ):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            Seq2Seq.load(path)
    for other in (MODELS / "english.safetensors", tmp_path / "none"):
        with pytest.raises(CheckpointError):
            Seq2Seq.load(other)
    with pytest.raises(ValueError, match="sideways"):
        Seq2SeqOptions("sideways")
    with pytest.raises(Error, match="subwords"):
        subwords(["a b"], 3)
