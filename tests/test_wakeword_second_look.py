"""The second look: phonemes in numpy as in torch, what it does to scores, the same at any cut of a stream."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loud import OPTIONS, loud_detector, loud_model, stream

from asr import audio
from asr.audio.features import LogMel, LogMelOptions
from asr.model.network.ctc import CTCModel
from asr.model.options import ModelOptions
from wakeword.detector import DetectorError, load
from wakeword.phonemes.model import PhonemeModel
from wakeword.phonemes.second_stage import EVERY, SecondStage, SecondStageOptions
from wakeword.phrase.pronunciation import ways
from wakeword.thresholds import peaks
from wakeword.train.training import save_detector

DATA = Path(__file__).parent / "data"
SYMBOLS = ("AH", "B", "M", "UW")


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    model = CTCModel(
        ModelOptions(LogMelOptions(n_mels=8), phonemes=SYMBOLS, layers=2, hidden=6, channels=3, kind="gru")
    ).eval()
    model.mean.normal_()
    model.deviation.uniform_(0.5, 2)
    return model


@pytest.fixture(scope="module")
def phonemes(untrained):
    return PhonemeModel(
        {k: v.numpy() for k, v in untrained.state_dict().items()}, SYMBOLS, 2, untrained.options.frontend.n_mels
    )


@pytest.mark.parametrize("frames", [1, 3, 4, 7, 8, 50])
def test_phonemes_in_numpy_are_those_of_torch(untrained, phonemes, frames):
    x = np.random.default_rng(frames).normal(0, 2, (frames, 8)).astype(np.float32)
    with torch.no_grad():
        wanted = untrained.both(torch.from_numpy(x)[None], torch.tensor([frames]))[1][0].numpy()
    assert np.allclose(phonemes(x), wanted, atol=1e-5)


def looking(phonemes, floor=0.3):
    detector = loud_detector()
    detector.look = SecondStage(SecondStageOptions((("B", "UW", "M"), ("B", "AH", "M")), floor), phonemes)
    return detector


def test_where_there_is_no_reason_to_look_nothing_is_heard(phonemes):
    x = stream()
    before, _ = loud_detector().scores(x, loud_detector().start())
    after, _ = looking(phonemes).scores(x, looking(phonemes).start())
    looked = (before >= 0.3) & (np.arange(len(before)) % EVERY == 0)
    assert (after[~looked] == 0).all() and (after[looked] > 0).all() and looked.sum() > 10


def test_the_better_it_is_heard_the_higher_the_score(phonemes):
    look, given = SecondStage(SecondStageOptions((("B",),), 0.1), phonemes), np.full(3 * EVERY, 0.5, np.float32)
    hear = iter([0.01, 0.1, 0.9])
    look.heard = lambda frames: next(hear)
    found = look.scores(given, np.zeros((40, 8), np.float32), 4 * np.arange(1, 1 + len(given)), first=1)
    low, same, high = found[1::EVERY]
    assert not found[::EVERY].any()
    assert low < 0.05 and same == pytest.approx(0.5) and high > 0.95


def test_real_speech_says_what_it_says():
    model = PhonemeModel.load()
    frames = LogMel(LogMelOptions(n_mels=model.n_mels))(audio.load(str(DATA / "independence.opus")))
    said, other = (
        SecondStage(SecondStageOptions(tuple(ways(p)), 0.1), model).heard(frames) for p in ("independence", "jarvis")
    )
    assert said > 0.3 and other < 0.1


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 96_000), max_size=8))
def test_any_cut_of_a_stream_is_looked_at_alike(phonemes, cuts):
    detector, x = looking(phonemes), stream()
    whole, _ = detector.scores(x, detector.start())
    state, parts = detector.start(), []
    for piece in np.split(x, sorted(cuts)):
        scores, state = detector.scores(piece, state)
        parts.append(scores)
    assert np.allclose(np.concatenate(parts), whole, atol=1e-6)


def test_the_window_is_as_long_as_the_phrase_may_be(phonemes):
    short, long = (SecondStage(SecondStageOptions((("B",) * n,), 0.1), phonemes).frames for n in (3, 12))
    assert 100 < short < long < 300


def test_a_detector_keeps_its_second_look(tmp_path):
    file, look = tmp_path / "boom.safetensors", SecondStageOptions((("B", "UW", "M"),), 0.25)
    save_detector(loud_model(), file, {"phrase": "boom", "second look": look.asdict()}, OPTIONS)
    assert load(file).look.options == look


@pytest.mark.parametrize(
    "look", [{"ways": [["B", "QQ"]], "floor": 0.1}, {"ways": [["B"]]}, {"ways": 3, "floor": 0.1}, 7]
)
def test_a_look_that_makes_no_sense_is_a_damaged_detector(tmp_path, look):
    file = tmp_path / "boom.safetensors"
    save_detector(loud_model(), file, {"phrase": "boom", "second look": look}, OPTIONS)
    with pytest.raises(DetectorError, match="damaged"):
        load(file)


def test_one_event_is_one_peak_wherever_it_lies():
    scores = np.zeros(100, np.float32)
    scores[36:40] = 0.5, 0.9, 0.8, 0.7  # across the edge of windows of 38
    scores[80] = 0.6
    assert peaks(scores, 38)[:2].tolist() == pytest.approx([0.9, 0.6])
