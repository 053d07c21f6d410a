"""Both listen: phonemes as in torch, what they do to scores, any cut of a stream."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loud import OPTIONS, loud_detector, loud_model, stream

from asr import audio
from asr.audio.features import SAMPLE_RATE, LogMel, LogMelOptions
from asr.model.checkpoint import ModelOptions
from asr.model.network.ctc import CTCModel, save_model
from wakeword.detector import DetectorError, load
from wakeword.phonemes import CHUNK, Fusion, FusionOptions, Hearing, PhonemeModel, fused
from wakeword.phrase import ways
from wakeword.scoring import peaks, thresholds
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
def phonemes(untrained, tmp_path_factory):
    file = tmp_path_factory.mktemp("phonemes") / "phonemes.safetensors"
    save_model(untrained, file, {})
    return PhonemeModel(file)


@pytest.mark.parametrize("frames", [1, 3, 4, 7, 8, 50])
def test_phonemes_are_those_of_torch(untrained, phonemes, frames):
    x = np.random.default_rng(frames).normal(0, 2, (frames, 8)).astype(np.float32)
    with torch.no_grad():
        wanted = untrained.both(torch.from_numpy(x)[None], torch.tensor([frames]))[1][0].numpy()
    assert np.allclose(phonemes(x), wanted, atol=1e-5)


@pytest.mark.parametrize(
    "fusion", [{"ways": [["B", "QQ"]]}, {"weight": 1.0}, {"ways": 3}, {"ways": [["B"]], "floor": 0.1}, 7]
)
def test_a_fusion_that_makes_no_sense_is_a_damaged_detector(tmp_path, fusion):
    file = tmp_path / "boom.safetensors"
    save_detector(loud_model(), file, {"phrase": "boom", "fusion": fusion}, OPTIONS)
    with pytest.raises(DetectorError, match="damaged"):
        load(file)


def test_one_event_is_one_peak_wherever_it_lies():
    scores = np.zeros(100, np.float32)
    scores[36:40] = 0.5, 0.9, 0.8, 0.7  # across the edge of windows of 38
    scores[80] = 0.6
    assert peaks(scores, 38)[:2].tolist() == pytest.approx([0.9, 0.6])


def listening(phonemes, **weights):
    detector = loud_detector()
    detector.phonemes = Fusion(FusionOptions((("B", "UW", "M"), ("B", "AH", "M")), **weights), phonemes)
    return detector


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 96_000), max_size=8))
def test_any_cut_of_a_stream_is_fused_alike(phonemes, cuts):
    detector, x = listening(phonemes), np.concatenate([audio.load(str(DATA / "independence.opus")), stream()])[:96_000]
    whole, _ = detector.scores(x, detector.start())
    state, parts = detector.start(), []
    for piece in np.split(x, sorted(cuts)):
        scores, state = detector.scores(piece, state)
        parts.append(scores)
    assert np.allclose(np.concatenate(parts), whole, atol=1e-6)
    assert (whole[CHUNK - 1 :: CHUNK] > 0).all() and not np.delete(whole, np.s_[CHUNK - 1 :: CHUNK]).any()


def test_a_voice_whose_phonemes_say_the_phrase_scores_high_and_nothing_else_does():
    clip = audio.load(str(DATA / "independence.opus"))
    frames = LogMel(LogMelOptions(n_mels=40))(np.pad(clip, 8000))
    steps = (len(frames) - 8) // 4 + 1
    highest = {}
    for phrase in ("independence", "jarvis"):
        fusion = Fusion(FusionOptions(tuple(ways(phrase))))
        highest[phrase] = fusion.feed(np.full(steps, 0.5, np.float32), frames, fusion.start())[0].max()
    assert highest["independence"] > 0.9 and highest["jarvis"] < 0.5


def test_in_silence_the_phoneme_model_rests(phonemes, monkeypatch):
    fusion = listening(phonemes).phonemes
    monkeypatch.setattr(phonemes, "window", lambda *_: pytest.fail("it was asked"))
    frames = np.full((800, 8), -18.0, np.float32)
    scores, state = fusion.feed(np.full(199, 0.9, np.float32), frames, fusion.start())
    assert scores.max() < 1e-3 and len(state.hearing.frames) < 100


def test_loud_hiss_is_still_and_a_voice_in_it_is_not():
    clip = audio.load(str(DATA / "independence.opus"))
    hiss = np.random.default_rng(4).normal(0, np.abs(clip).max() / 4, 3 * SAMPLE_RATE + len(clip)).astype(np.float32)
    hiss[2 * SAMPLE_RATE :][: len(clip)] += clip
    hearing = Hearing(PhonemeModel.load())
    windows, _ = hearing.feed(LogMel(LogMelOptions(n_mels=40))(hiss), hearing.start)
    at = [i * CHUNK * 0.04 for i, window in enumerate(windows) if window]
    assert 1.5 < at[0] < 3.0 and at[-1] < 2 + len(clip) / SAMPLE_RATE + 0.7


def test_chunks_hear_what_the_whole_hears(phonemes):
    frames = np.random.default_rng(3).normal(0, 2, (83, 8)).astype(np.float32)
    whole, states = phonemes.window(frames, 20, None, 20)
    first, between = phonemes.window(frames, 20, None, 8)
    rest, last = phonemes.window(frames[32:], 12, between, 12)
    assert np.allclose(first, whole, atol=1e-5) and np.allclose(rest, whole[8:], atol=1e-5)
    assert np.allclose(states, last, atol=1e-5) and phonemes.window(frames, 20, between, 0)[1] is between


def test_a_detector_keeps_its_fusion(tmp_path, phonemes, monkeypatch):
    monkeypatch.setattr(PhonemeModel, "load", lambda: phonemes)
    file, fusion = tmp_path / "boom.safetensors", FusionOptions((("B", "UW", "M"),), 0.25, 1.5)
    save_detector(loud_model(), file, {"phrase": "boom", "fusion": fusion.asdict()}, OPTIONS)
    assert load(file).phonemes.options == fusion


def test_the_tail_of_known_distributions_is_found():
    """1,000 events an hour with generalised Pareto logits, 3 hours: the threshold for 0.1 an hour, exceeded by 1e-4."""
    rng = np.random.default_rng(4)
    for shape, near in ((-0.4, 0.2), (0.0, 1.2)):
        right = 9.21 if not shape else (1e-4**-shape - 1) / shape
        found: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(100):
            u = rng.random(3000)
            logits = (-np.log(u) if not shape else (u**-shape - 1) / shape) - 4
            for bent, thresholds_found in found.items():
                p = thresholds(1 / (1 + np.exp(-logits)), 3.0, [0.1], tail=90, shape=bent)[0.1]
                thresholds_found.append(np.log(p / (1 - p)) + 4 - right)
        assert abs(np.median(found[True])) < near
        assert not shape or np.median(found[False]) > 3 * abs(np.median(found[True]))  # the exponential is too careful


def test_heard_once_and_fused_later_gives_the_same_scores(phonemes):
    fusion, clip = listening(phonemes).phonemes, np.pad(audio.load(str(DATA / "independence.opus")), 8000)
    frames = LogMel(LogMelOptions(n_mels=8))(clip)
    rnn = np.random.default_rng(2).random((len(frames) - 8) // 4 + 1).astype(np.float32)
    whole, _ = fusion.feed(rnn, frames, fusion.start())
    heard = fusion.hear(frames)
    assert len(heard) == len(rnn) // CHUNK and heard.max() > 0
    np.testing.assert_array_equal(fusion.fuse(rnn, heard), whole)


def test_the_better_it_is_heard_the_higher_the_score():
    low, same, high = (fused(0.5, heard, 0.5, 2.0) for heard in (0.01, 0.1, 0.9))
    assert low < 0.05 and same == pytest.approx(0.5) and high > 0.95
    assert fused(0.9, 0.1, 1.0, 2.0) == pytest.approx(0.9)


def test_a_detector_with_a_second_look_is_to_be_trained_again(tmp_path):
    file = tmp_path / "boom.safetensors"
    save_detector(loud_model(), file, {"phrase": "boom"}, OPTIONS)
    file.write_bytes(file.read_bytes().replace(b'"version":"3"', b'"version":"2"'))
    with pytest.raises(DetectorError, match="detector of version 2.* or train it again"):
        load(file)
