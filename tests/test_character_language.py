"""N-grams of characters: exact scores, in the search, and language models of one's own in `asr transcribe`."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asr
from asr.cli import main
from asr.language import kneser_ney, ngram
from asr.language.open import (
    SPACE_TOKEN,
    CharacterLanguage,
    CharacterNgrams,
    of_characters,
    open_language,
    spaced,
    unspaced,
)
from asr.score import align, count
from asr.search.base import SearchOptions
from asr.search.hotwords import Hotword
from asr.search.letters import LetterSearch
from asr.search.options import Weights
from asr.text import Alphabet

DATA = Path(__file__).parent / "data"
CLIPS = [json.loads(line) for line in (DATA / "clips.jsonl").open()]
CLIP = CLIPS[0]
LINES = ["a cab", "a cab cab", "cab a", "bac a cab"] * 5
ALPHABET = Alphabet(" abc")
texts = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def model() -> ngram.NgramModel:
    return kneser_ney.train(map(spaced, LINES), kneser_ney.TrainingOptions(order=4))


@given(texts)
def test_a_text_costs_what_its_characters_cost(model, text):
    language, total = CharacterLanguage(model), 0.0
    place = language.start()
    for word in text.split():
        score, place = language.score(place, word)
        total += score
    assert total + language.end(place) == pytest.approx(ngram.log_prob(model, spaced(text)))
    assert unspaced(spaced(text)) == text
    assert CharacterNgrams(model).ln_probability([text]) == pytest.approx([ngram.log_prob(model, spaced(text))])
    assert CharacterNgrams(model).tokens(text) == [SPACE_TOKEN if c == " " else c for c in text]


def test_what_is_a_model_of_characters(model):
    assert of_characters(model) and not of_characters(kneser_ney.train(LINES))
    language = CharacterLanguage(model)
    assert "cabba" in language and "dog" not in language
    assert 0 > language.best_completion("c") > language.best_completion("ca") > language.best_completion("cac")


def test_the_search_takes_what_the_characters_make_likely(model):
    rows = np.full((7, len(ALPHABET)), 0.02)
    for frame, symbols in enumerate(["a", " ", "c", "ab", "-", "b", "-"]):  # "a cab" or "a cbb"
        for symbol in symbols:
            rows[frame, 0 if symbol == "-" else ALPHABET.index(symbol)] = 0.9 / len(symbols)
    log_probs = np.log(rows / rows.sum(1, keepdims=True)).astype(np.float32)
    options = SearchOptions(beam=50, lm_weight=0.8, word_bonus=0.0)
    best = LetterSearch(ALPHABET, options, CharacterLanguage(model))(log_probs, n=3)
    assert best[0].text == "a cab"
    for found in best:
        assert found.language == pytest.approx(ngram.log_prob(model, spaced(found.text)), abs=1e-4)
        assert found.score == pytest.approx(found.acoustic + 0.8 * found.language, abs=1e-3)


# of one's own


def lm(*arguments: object) -> int:
    return main(["lm", *map(str, arguments)])


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> dict[str, Path]:
    """Models of words and of characters, trained by the command."""
    folder = tmp_path_factory.mktemp("models")
    said = [json.loads(line)["text"] for line in (DATA / "clips.jsonl").open()]
    (folder / "text").write_text("\n".join([*said, *said, "the zyzzyvia"]))
    found = {"words": folder / "words.npz", "characters": folder / "characters.arpa"}
    assert lm("train", folder / "text", "--output", found["words"]) == 0
    assert lm("train", folder / "text", "--unit", "character", "--output", found["characters"]) == 0
    return found


def test_the_commands_know_models_of_characters(own, capsys, tmp_path):
    found = open_language(str(own["characters"]))
    assert isinstance(found, CharacterNgrams) and found.model.order == 6
    (tmp_path / "text").write_text("the war\n")
    assert lm("score", "--model", own["characters"], tmp_path / "text") == 0
    log10, perplexity, text = capsys.readouterr().out.strip().split("\t")
    assert text == "the war" and float(perplexity) == pytest.approx(10 ** (-float(log10) / 8), rel=1e-2)
    assert lm("say", "--model", own["characters"], "--seed", 1, "--count", 2) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 2 and " " in said and SPACE_TOKEN not in said and "<" not in said


def read(clip: dict = CLIP, **options) -> str:
    wanted = asr.RecognizerOptions(asr.DecoderOptions(beam=16, **options))
    return asr.load(options=wanted).transcribe(DATA / clip["audio_filepath"]).spoken


def test_transcribing_with_words_of_ones_own(own):
    found = read(language=str(own["words"]))
    assert len(set(found.split()) & set(CLIP["text"].split())) > 0.6 * len(CLIP["text"].split())


def test_transcribing_with_characters_of_ones_own(own):
    name = str(own["characters"])
    found, alone = read(language=name, weights=Weights(lm=1.0)), read(lm=False)
    likely, unlikely = open_language(name).ln_probability([found, alone])
    assert likely > unlikely + 5
    errors = [
        sum(count(align(clip["text"].split(), read(clip, **options).split())).total for clip in CLIPS)
        for options in (dict(language=name, weights=Weights(lm=1.0)), dict(lm=False))
    ]
    assert errors[0] <= errors[1] / 2
    assert read(language=name, hotwords=(Hotword("zyzzyvia"),)) == read(language=name) != alone


def test_words_that_no_lexicon_has_are_pronounced_by_rules(own):
    options = asr.DecoderOptions(beam=4, language=str(own["words"]))
    decoder = asr.load(options=asr.RecognizerOptions(options)).decoder
    assert decoder.search == "lexicon" and len(decoder.pronounced("zyzzyvia")[0]) > 4
    packaged = asr.load(options=asr.RecognizerOptions(asr.DecoderOptions(beam=4))).decoder
    assert packaged.pronounced("zyzzyvia") == []


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--lm", "nowhere.arpa"), "no language model called 'nowhere.arpa'"),
        (("--lm", "english-rnn"), "english-rnn is a recurrent model"),
        (("--lm", "CUT"), "cut off or damaged"),
        (("--lm", "x.npz", "--no-lm"), "not allowed with"),
    ],
)
def test_bad_models_are_one_sentence(own, tmp_path, capsys, arguments, said):
    cut = tmp_path / "cut.arpa"
    cut.write_text(own["characters"].read_text()[:-200])
    try:
        status = main(["transcribe", "x.wav", *(str(cut) if a == "CUT" else a for a in arguments)])
    except SystemExit as stopped:  # argparse
        status = stopped.code
    captured = capsys.readouterr()
    assert status == 2 and not captured.out and said in captured.err
    assert "Traceback" not in captured.err
