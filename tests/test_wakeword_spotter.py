"""Any phrase without training: it is heard where it is said, for any cut of the stream, and not elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import audio
from asr.model.onnx import load_model
from wakeword.cli import main
from wakeword.detector import DetectorOptions
from wakeword.spotter import Spotter, keyword_of, spotter, thresholds_of

DATA = Path(__file__).parent / "data"
SILENCE = np.zeros(24_000, np.float32)


@pytest.fixture(scope="module")
def model():
    return load_model()[0]


@pytest.fixture(scope="module")
def said():
    return np.concatenate([SILENCE, audio.load(str(DATA / "independence.opus")), SILENCE])


def test_a_phrase_is_heard_once_where_it_is_said(model, said):
    found = spotter(model, "Independence!", threshold=0.2).detect(said)
    assert len(found) == 1 and 1.5 < found[0].time < len(said) / 16_000 - 0.5
    assert not spotter(model, "hey computer", threshold=0.2).detect(said)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=5))
def test_any_cut_gives_the_same_scores(model, said, cuts):
    listening = Spotter(model, "independence", DetectorOptions(0.2, smooth=1))
    whole, _ = listening.scores(said, listening.start())
    state, parts = listening.start(), []
    for part in np.split(said, sorted(c for c in cuts if c < len(said))):
        scores, state = listening.scores(part, state)
        parts.append(scores)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
    assert state.steps == len(whole)


def test_silence_costs_no_encoder(model, monkeypatch):
    listening = Spotter(model, "independence", DetectorOptions(0.2, smooth=1))
    monkeypatch.setattr(listening._encoder, "step", None)
    assert not listening.detect(np.zeros(160_000, np.float32))


def test_thresholds_fall_with_the_rate_and_are_lower_for_longer_phrases(model):
    symbols = model.options.phonemes
    short, long = (thresholds_of(keyword_of(p, symbols), len(symbols) + 1) for p in ("hello", "universal computer"))
    assert list(short) == ["0.1", "0.5", "1", "3"] and 1 > short["0.1"] > short["0.5"] > short["3"] > 0
    assert long["0.5"] < short["0.5"]


def test_detect_with_a_phrase(capsys, tmp_path, said):
    soundfile.write(tmp_path / "said.wav", said, 16_000)
    assert main(["detect", "--phrase", "independence", "--threshold", "0.2", str(tmp_path / "said.wav")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["x.wav"], "give a detector"),
        (["--phrase", "bzzzt", "x.wav"], "cannot be pronounced"),
        (["--phrase", "", "x.wav"], "the phrase is empty"),
        (["x.wav"], "give a detector"),
        (["--phrase", "hey you", "--rate", "7", "x.wav"], "7 false alarms an hour"),
    ],
)
def test_bad_phrases(capsys, arguments, sentence):
    assert main(["detect", *arguments]) == 2
    assert sentence in capsys.readouterr().err
