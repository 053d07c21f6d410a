"""The detector: the torch model's scores in numpy, any cut of a stream, one detection an utterance, bad files."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loud import loud_detector, stream
from safetensors.torch import save_file

from asr import audio
from asr.audio.features import LogMel, SamplesError
from wakeword import detector as module
from wakeword.detector import Detector, DetectorError, DetectorOptions, load, packaged, pick
from wakeword.listen import listen
from wakeword.train import TriggerModel, TriggerOptions
from wakeword.train.training import save_detector

DATA = Path(__file__).parent / "data"

NOISE = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * np.repeat([0.01, 0.3, 0.05], 16_000)
NOISE = NOISE.astype(np.float32)


def trigger(kind: str = "gru") -> TriggerModel:
    torch.manual_seed(1)
    model = TriggerModel(TriggerOptions(kind=kind, hidden=12, channels=8, n_mels=20))
    model.mean.fill_(-6.0)
    model.deviation.fill_(3.0)
    return model.eval()


@pytest.fixture
def saved(tmp_path, request):
    path = tmp_path / "word.safetensors"
    card = {"phrase": "word", "thresholds": {"0.5": 0.7}}
    save_detector(trigger(getattr(request, "param", "gru")), path, card, DetectorOptions(0.5))
    return path


@pytest.mark.parametrize("saved", ["gru", "lstm", "peephole"], indirect=True)
def test_scores_are_those_of_the_torch_model(saved, request):
    detector = load(saved)
    scores, state = detector.scores(NOISE, detector.start())
    model = trigger(detector.model["kind"]).half().float()
    frontend = LogMel(model.options.frontend)
    frames = frontend.feed(NOISE, frontend.start())[0]
    with torch.inference_mode():
        raw = torch.sigmoid(model(torch.from_numpy(frames)[None])[0])[0].numpy()
    smoothed = np.convolve(np.pad(raw, (2, 0)), np.ones(3) / 3, mode="valid")
    assert len(scores) == state.steps == (len(frames) - 8) // 4 + 1
    assert np.abs(scores - smoothed).max() < 1e-4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 48_000), max_size=8), st.floats(0.3, 0.6))
def test_any_cut_gives_the_same_scores_and_detections(cuts, threshold):
    model = trigger()
    tensors = {k: v.numpy() for k, v in model.state_dict().items()}
    detector = Detector(tensors, asdict(model.options), {}, DetectorOptions(threshold, refractory=0.3))
    whole, _ = detector.scores(NOISE, detector.start())
    if np.abs(whole - threshold).min() < 1e-5:
        return  # a tie: rounding decides
    state, parts, found = detector.start(), [], []
    for part in np.split(NOISE, sorted(cuts)):
        parts.append(detector.scores(part, state)[0])
        detections, state = detector.feed(part, state)
        found += detections
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)
    assert [d.time for d in found] == [d.time for d in detector.feed(NOISE, detector.start())[0]]


def test_one_utterance_gives_one_detection():
    scores = np.array([0.1, 0.9, 0.95, 0.9, 0.2, 0.9, 0.1] + [0.0] * 40 + [0.8])
    fired, quiet_until = pick(scores, DetectorOptions(0.7, refractory=1.0), 0.04)
    assert fired == [1, 47] and quiet_until == 47 + 25
    assert pick(scores, DetectorOptions(0.7, refractory=0.0), 0.04)[0] == [1, 2, 3, 5, 47]


def test_a_threshold_for_a_rate(saved):
    assert load(saved, rate=0.5).options.threshold == 0.7
    assert load(saved, threshold=0.9).options.threshold == 0.9
    assert load(saved).options.threshold == 0.5
    with pytest.raises(DetectorError, match="only for 0.5"):
        load(saved, rate=2)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -3, 7])
def test_a_threshold_out_of_range(saved, threshold):
    with pytest.raises(DetectorError, match="between 0 and 1"):
        load(saved, threshold=threshold)


def test_files_that_are_no_detectors(tmp_path, saved):
    with pytest.raises(DetectorError, match="no detector called 'nobody'.*wakeword train"):
        load("nobody")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(DetectorError, match="damaged"):
        load(tmp_path / "text.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(DetectorError, match="damaged"):
        load(cut)
    weights = {"a": torch.zeros(1)}
    save_file(weights, tmp_path / "other.safetensors", {"format": "asr-ctc"})
    with pytest.raises(DetectorError, match="no wake-word detector"):
        load(tmp_path / "other.safetensors")
    save_file(weights, tmp_path / "new.safetensors", {"format": "wakeword", "version": "9"})
    with pytest.raises(DetectorError, match="version 9"):
        load(tmp_path / "new.safetensors")
    head = {"format": "wakeword", "version": module.VERSION, "options": "{}", "card": json.dumps({"detector": {}})}
    save_file(weights, tmp_path / "empty.safetensors", head)
    with pytest.raises(DetectorError, match="damaged"):
        load(tmp_path / "empty.safetensors")


def test_the_packaged_network_is_within_its_budget():
    assert sum(p.numel() for p in TriggerModel().parameters()) <= 200_000


def test_listening_needs_no_torch(saved):
    import subprocess
    import sys

    code = (
        "import sys, numpy; from wakeword.detector import load; "
        f"load({str(saved)!r}).detect(numpy.zeros(16000, 'f4')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", packaged())
def test_a_packaged_detector_hears_nothing_in_speech_without_its_word(name):
    samples = np.concatenate(list(audio.blocks(str(DATA / "independence.opus"))))
    assert load(name).detect(samples) == []


def test_a_phrase_that_a_recording_ends_with_is_heard():
    detector, samples = load("computer"), np.concatenate(list(audio.blocks(str(DATA / "computer.opus"))))
    assert detector.feed(samples, detector.start())[0] == []  # it fires a moment later
    [found] = detector.detect(samples)
    assert found.time == pytest.approx(len(samples) / 16_000, abs=0.4)


def test_what_is_no_sound_is_heard_as_silence_and_counted(caplog):
    """NaN, infinite and absurdly large samples do not reach the network: what follows is detected."""
    broken = stream()
    broken[100:104] = np.nan, np.inf, -np.inf, 1e30
    silent = np.where(np.abs(broken) < 100, broken, np.float32(0))
    detector = loud_detector()
    found, state = detector.feed(broken, detector.start())
    assert found == detector.feed(silent, detector.start())[0] and len(found) == 2
    assert state.bad_samples == 4 and caplog.text.count("NaN, infinite") == 1
    assert detector.feed(broken, state)[1].bad_samples == 8 and caplog.text.count("NaN, infinite") == 1


def test_whole_numbers_are_scaled():
    whole = np.round(np.clip(stream(), -1, 1) * 32_767).astype(np.int16)
    detector = loud_detector()
    assert detector.detect(whole) == detector.detect(whole / np.float32(32_768)) != []
    assert [len(h.samples) for h in listen(detector, [whole])] == [33_520, 40_000]
    assert max(np.abs(h.samples).max() for h in listen(detector, [whole])) <= 1
    with pytest.raises(SamplesError, match="uint8"):
        detector.detect(np.zeros(100, np.uint8))
