"""The CTC model's second opinion: it hears what was said, and not what was not."""

from pathlib import Path

import numpy as np
import pytest

from asr import audio
from asr.model.onnx import load_model
from wakeword.spotter import Verifier, keyword_of

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def model():
    return load_model()[0]


@pytest.mark.parametrize(
    "phrase, clip, other", [("independence", "independence", "names"), ("doctorate", "doctorate", "names")]
)
def test_a_phrase_scores_higher_where_it_is_said(model, phrase, clip, other):
    verifier = Verifier(model, phrase)
    said, not_said = (verifier.score(audio.load(str(DATA / f"{name}.opus"))) for name in (clip, other))
    assert 0 <= not_said < said <= 1
    assert verifier(audio.load(str(DATA / f"{clip}.opus")))


def test_silence_and_nothing_confirm_nothing(model):
    verifier = Verifier(model, "hey computer")
    assert not verifier(np.zeros(32_000, np.float32)) and not verifier(np.zeros(10, np.float32))


def test_every_pronunciation_counts():
    symbols = tuple("AE T AH M EY OW D".split())
    ways = keyword_of("a", symbols).ways
    assert set(ways) >= {(symbols.index("EY") + 1,)} and len(ways) >= 2


def test_a_word_that_no_lexicon_knows_is_said_by_its_letters():
    others = "AA AE AH AW AY CH D DH EH ER EY G HH IY JH K M NG OW OY P S SH T TH UH UW V W Y Z ZH"
    symbols = tuple("B L AO R F IH N".split()) + tuple(others.split())
    assert (1, 2, 3, 4, 5, 6, 7) in keyword_of("blorfin", symbols).ways
