"""A closed set of commands: one of them or nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asr
from asr.cli import main
from asr.errors import UsageError
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.hotwords import CommandSet, pronounced
from asr.search.lexicon import Lexicon
from asr.search.options import Weights
from asr.text import Alphabet

DATA = Path(__file__).parent / "data"
ALPHABET = Alphabet()
PHONEMES = ("G", "OW", "S", "T", "AA", "P", "HH", "EH", "L")
LEXICON = {"go": ["G OW"], "stop": ["S T AA P"], "help": ["HH EH L P"]}
LEXICON_OF_ALL = Lexicon((word, way) for word, ways in LEXICON.items() for way in ways)
COMMAND_SET = CommandSet(["go", "stop", "help"], ALPHABET, PHONEMES, LEXICON_OF_ALL, 2.5)


def rows(path: list[int], width: int, sure: float) -> np.ndarray:
    p = np.full((len(path), width), (1 - sure) / (width - 1))
    p[np.arange(len(path)), path] = sure
    return np.log(p).astype(np.float32)


def said(word: str, sure: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Letters and phonemes (12 frames) of a word that is pronounced as it is in the lexicon, or as nothing."""
    letters = [i for c in word for i in (0, ALPHABET.index(c))]
    ways = LEXICON.get(word, [""])[0].split()
    phonemes = [i for p in ways for i in (0, 1 + PHONEMES.index(p))]
    pad = lambda path: path + [0] * (12 - len(path))  # noqa: E731
    return rows(pad(letters), len(ALPHABET), sure), rows(pad(phonemes), len(PHONEMES) + 1, sure)


def text(letters: np.ndarray, phonemes: np.ndarray) -> str:
    return COMMAND_SET(letters, phonemes)[0].text


@pytest.mark.parametrize("word", LEXICON)
def test_a_command_is_recognised(word):
    assert text(*said(word)) == word
    assert text(*said(word, 0.5)) == word


def test_other_speech_is_nothing():
    assert text(*said("banana", 0.95)) == ""
    assert text(*said("", 0.95)) == ""
    assert text(*(h[:0] for h in said("go"))) == ""
    assert text(*(h[:1] for h in said("stop"))) == ""  # too short for any


@given(st.integers(0, 10_000), st.floats(0.1, 5.0))
def test_always_a_command_or_nothing(seed, sharpness):
    rng = np.random.default_rng(seed)
    heads = []
    for width in (len(ALPHABET), len(PHONEMES) + 1):
        logits = rng.normal(size=(rng.integers(1, 20), width)) * sharpness
        heads.append((logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32))
    letters, phonemes = heads[0], heads[1][: len(heads[0])]
    assert text(letters, phonemes) in ("", *LEXICON)


def test_unknown_words_are_pronounced_and_no_commands_refused():
    assert pronounced("go stahp", LEXICON_OF_ALL)[0].startswith("G OW S T")
    with pytest.raises(UsageError, match="no commands"):
        CommandSet([], ALPHABET, PHONEMES, LEXICON_OF_ALL, 2.5)


@given(st.lists(st.integers(0, 12), max_size=4))
def test_a_stream_as_the_whole(cuts):
    letters, phonemes = said("stop", 0.7)
    state = COMMAND_SET.start()
    for some in zip(np.split(letters, sorted(cuts)), np.split(phonemes, sorted(cuts))):
        state = COMMAND_SET.feed(state, *some)
    assert COMMAND_SET.finish(state) == COMMAND_SET(letters, phonemes)


def test_a_decoder_with_commands():
    model = asr.load(options=asr.RecognizerOptions(DecoderOptions(beam=1))).model
    decoder = Decoder(model, {}, DecoderOptions(commands=("go", "stop")))
    logits = np.random.default_rng(0).normal(size=(20, len(model.alphabet)))
    letters = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    state = decoder.feed(decoder.start(), letters, None)
    assert decoder.partial(state).words == ()
    assert decoder.finish(state)[0].text in ("", "go", "stop")


def test_a_command_is_as_sure_as_a_given_word():
    first, other, *_ = (json.loads(line) for line in (DATA / "clips.jsonl").open())
    wanted = DecoderOptions(commands=(first["text"], other["text"]))
    recognizer = asr.load(options=asr.RecognizerOptions(wanted))
    assert recognizer.decoder.search == "commands" and recognizer.decoder.lm is None  # nothing is loaded for nothing
    transcript = recognizer.transcribe(DATA / first["audio_filepath"])
    assert transcript.text == first["text"]
    assert np.mean([w.confidence for s in transcript.segments for w in s.words]) > 0.8
    assert len(recognizer.decoder.pronounced(first["text"])) == len(first["text"].split())
    with pytest.raises(UsageError, match="search \\(commands\\) has no weight called lm"):
        asr.load(options=asr.RecognizerOptions(replace(wanted, weights=Weights(lm=1.0))))


@pytest.mark.parametrize("given_text, message", [("", "holds no text: give commands"), ("go\nst0p\n", "line 2")])
def test_bad_command_files(tmp_path, capsys, given_text, message):
    (tmp_path / "commands.txt").write_text(given_text)
    assert main(["transcribe", "x.wav", "--commands", str(tmp_path / "commands.txt")]) == 2
    assert message in capsys.readouterr().err
    assert main(["transcribe", "x.wav", "--rejection", "1"]) == 2
    assert "--rejection needs --commands" in capsys.readouterr().err
