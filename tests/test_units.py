"""Units of the acoustic model: letters, subwords that the checkpoint brings with it, phonemes on the top layer."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_train import LEXICON, command, folder, no_curves  # noqa: F401, fixtures

from asr.cli import main
from asr.errors import Error
from asr.language import kneser_ney
from asr.model.checkpoint import ModelOptions
from asr.model.network.ctc import CTCModel, load_network, save_model
from asr.model.onnx import load_model
from asr.model.streaming import encode
from asr.search.base import greedy
from asr.search.letters import LetterSearch
from asr.search.lexicon import Lexicon
from asr.text import LETTERS, Alphabet, Phonemes, Subwords, alphabet_of, learn
from asr.training.config import as_toml, from_nothing, read_config
from asr.training.run import Material, train_run

TEXTS = ["the weather in the north", "then they gather there", "whether or not", "the other feather", "don't"] * 5
PIECES = (*LETTERS, "th", "the", "er", "ther")
SCORES = (0.0, *[-5.0] * 27, -4.0, -4.5, -3.5, -6.0)
sentences = st.lists(st.text(LETTERS.strip(), min_size=1, max_size=12), min_size=1, max_size=4).map(" ".join)


# subwords


@given(sentences)
def test_any_text_is_written_and_read_again(text):
    alphabet = Subwords(PIECES, SCORES)
    assert alphabet.decode(alphabet.encode(text)) == text


@given(st.text("ther", min_size=1, max_size=9))
def test_no_other_pieces_are_likelier(word):
    def best(rest: str) -> float:
        ways = [s + best(rest[len(p) :]) for p, s in zip(PIECES, SCORES) if p != " " and rest.startswith(p)]
        return max(ways) if rest else 0.0

    alphabet = Subwords(PIECES, SCORES)
    assert sum(SCORES[i - 1] for i in alphabet.encode(word)) == pytest.approx(best(word))


def test_pieces_do_not_reach_over_spaces_and_unknown_letters_are_named():
    alphabet = alphabet_of(PIECES, SCORES)
    assert [alphabet[i] for i in alphabet.encode("ether the")] == ["e", "ther", " ", "the"]
    with pytest.raises(ValueError, match="not in the alphabet: '2' 'ü'"):
        alphabet.encode("ü 2")
    assert type(alphabet_of(tuple(LETTERS))) is Alphabet


def test_learnt_pieces_are_sentencepieces_own():
    sentencepiece = pytest.importorskip("sentencepiece")
    symbols, scores = learn(TEXTS, 60)
    assert (symbols, scores) == learn(TEXTS, 60) and len(symbols) <= 60 and set(LETTERS) <= set(symbols)
    alphabet = Subwords(symbols, scores)
    assert len(alphabet.encode("weather")) < 7 and not any(" " in s for s in symbols[1:])
    assert sentencepiece.__version__ and alphabet.encode("quiz")


@pytest.mark.parametrize(("texts", "size"), [(TEXTS, 20), ([], 100)])
def test_too_few_of_anything_is_one_sentence(texts, size):
    pytest.importorskip("sentencepiece")
    with pytest.raises(Error, match="are too few: take 56 or more"):
        learn(texts, size)


def test_without_sentencepiece_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(Error, match=r"pip install 'asr\[train\]', or train on letters"):
        learn(TEXTS, 60)


def test_greedy_and_the_beam_search_with_an_ngram_write_with_pieces():
    alphabet, rng = Subwords(PIECES, SCORES), np.random.default_rng(0)
    lm = kneser_ney.train(TEXTS, kneser_ney.TrainingOptions(order=2))
    path = [i for symbol in alphabet.encode("the other feather") for i in (symbol, 0)]
    log_probs = np.log(0.9 * np.eye(len(alphabet))[path] + 0.1 * rng.dirichlet(np.ones(len(alphabet)), len(path)))
    assert greedy(log_probs, alphabet).text == "the other feather"
    assert LetterSearch(alphabet, lm=lm)(log_probs)[0].text == "the other feather"
    hidden = [i for symbol in alphabet.encode("the weader") for i in (symbol, 0)]
    heard = 0.6 * np.eye(len(alphabet))[hidden] + 0.4 / len(alphabet)
    heard[path[:1] * 0 + [hidden.index(alphabet.index("d"))], alphabet.index("th")] += 0.5  # "d", or "th" before "er"
    heard = np.log(heard / heard.sum(1, keepdims=True))
    assert greedy(heard, alphabet).text == "the weader"
    assert LetterSearch(alphabet, lm=lm)(heard)[0].text == "the weather"


# in models


def test_a_checkpoint_brings_its_pieces_with_it(tmp_path):
    model = CTCModel(ModelOptions(symbols=PIECES, units="subwords", scores=SCORES, layers=1, hidden=8, channels=2))
    save_model(model, tmp_path / "m.safetensors", {})
    read, _ = load_network(tmp_path / "m.safetensors")
    assert read.options == model.options and read.alphabet.encode("ether") == model.alphabet.encode("ether")


def test_letters_are_written_as_before():
    model = ModelOptions()
    assert not {"units", "pieces", "scores"} & model.asdict().keys() and "units" not in as_toml(from_nothing(1))
    assert ModelOptions.from_dict(model.asdict()) == model
    with pytest.raises(ValueError, match="no units 'words': choose from letters, subwords, phonemes"):
        ModelOptions(units="words")


def test_phonemes_on_the_top_layer_take_the_letters_place():
    torch.manual_seed(0)
    options = ModelOptions(phonemes=("AH", "B"), layers=3, hidden=8, channels=2, units="phonemes")
    model = CTCModel(options).eval()
    hidden, _ = model.encode(torch.randn(1, 40, 80), torch.tensor([40]))
    torch.testing.assert_close(model.phonemes(hidden), model.phoneme_head(hidden[2]).log_softmax(-1))
    torch.testing.assert_close(model.letters(hidden), model.head(hidden[1]).log_softmax(-1))


@pytest.mark.parametrize("units", ["subwords", "phonemes"])
def test_by_onnxruntime_they_are_the_same(tmp_path, units):
    more = {"symbols": PIECES, "scores": SCORES} if units == "subwords" else {}
    options = ModelOptions(phonemes=("AH", "B"), layers=3, hidden=8, channels=2, units=units, **more)
    model, frames = CTCModel(options).eval(), [np.random.default_rng(0).normal(size=(90, 80)).astype(np.float32)]
    save_model(model, tmp_path / "m.safetensors", {})
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert loaded.alphabet.encode("ether") == model.alphabet.encode("ether")
    for found, wanted in zip(encode(loaded, frames)[0], encode(model, frames)[0]):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_words_that_the_lexicon_lacks_are_guessed():
    lexicon = Lexicon.parse(["snow S N OW1", "boy B OY1"])
    assert lexicon.pronounce("snowboy") is None
    assert lexicon.with_guesses(["snowboy"]).pronounce("snow snowboy") == ["S", "N", "OW", "S", "N", "OW", "B", "OY"]
    assert Phonemes(lexicon.phonemes).decode(Phonemes(lexicon.phonemes).encode("B OY S")) == "B OY S"


@pytest.mark.parametrize("units", ["subwords", "phonemes"])
def test_train_finetune_and_transcribe(folder, capsys, units):  # noqa: F811
    if units == "subwords":
        pytest.importorskip("sentencepiece")
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace("[model]\n", f'[model]\nunits = "{units}"\npieces = 60\n'))
    assert command(folder, "train", "run") == 0
    path = folder / "run" / "model.safetensors"
    model, card = load_network(path)
    assert model.options.units == units and len(card["log_priors"]["letters"]) == len(model.alphabet)
    assert command(folder, "train", "run") == 0  # it goes on, with the same configuration
    again = read_config(folder / "run" / "config.toml", LEXICON)[0]
    assert (again.units, again.pieces) == (units, 60)
    for more in ([], ["--beam", "1"], ["--letters"], ["--format", "json"]):
        assert main(["transcribe", "--quiet", "--model", str(path), *more, str(folder / "data/0.wav")]) == 0
    assert command(folder, "finetune", "mine.safetensors", "--model", str(path)) == 0
    assert load_network(folder / "mine.safetensors")[0].options == replace(
        model.options, phonemes=model.options.phonemes
    )


def test_what_units_lack_is_one_sentence(tmp_path):
    configuration = replace(ModelOptions(), units="phonemes"), *from_nothing(1)[1:]
    with pytest.raises(Error, match="phonemes as units need a lexicon"):
        train_run(Material([], []), configuration, tmp_path)
    with pytest.raises(ValueError, match="the lexicon lacks 'zoo' and phonemes that it may have: add it"):
        Lexicon.parse(["snow S N OW1"]).with_guesses(["snow zoo"])
    (tmp_path / "c.toml").write_text('[model]\nunits = "syllables"\n[[stages]]\nupdates = 1\n')
    with pytest.raises(Error, match="no units 'syllables'"):
        read_config(tmp_path / "c.toml", None)
