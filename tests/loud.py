"""A detector and a scorer that go by loudness, and a stream with two loud places: for tests of all that listens."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from asr.audio.features import SAMPLE_RATE
from wakeword.detector import Detector, DetectorOptions
from wakeword.train import TriggerModel, TriggerOptions
from wakeword.train.training import save_detector

STEP = 640  # samples of Loudness
OPTIONS = DetectorOptions(0.5, refractory=1.0)


def loud_model() -> TriggerModel:
    """The convolution takes the mean of the log-mel values, the recurrent layer passes that on."""
    model = TriggerModel(TriggerOptions(kind="gru", layers=1, hidden=2, channels=2, n_mels=8))
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.convolution.weight[0] = 1 / 64  # the mean of a step's log-mel values
        model.convolution.bias[0] = 6.0
        layer = model.layers[0]
        layer.weight_ih_l0[4, 0] = 1.0  # the new state follows the input
        layer.bias_ih_l0[2:4] = -10.0  # and replaces the old one at once
        model.output.weight[0, 0], model.output.bias[0] = 20.0, -10.0
    return model


def loud_detector() -> Detector:
    model = loud_model()
    tensors = {k: v.numpy() for k, v in model.state_dict().items()}
    return Detector(tensors, asdict(model.options), {"phrase": "x"}, OPTIONS)


def save_loud(path: Path) -> Path:
    save_detector(loud_model(), path, {"phrase": "boom", "thresholds": {"0.5": 0.6}}, OPTIONS)
    return path


def stream() -> np.ndarray:
    """6 s of near silence, loud from 2.0 to 2.5 and from 4.0 to 4.5 s."""
    x = np.random.default_rng(0).standard_normal(96_000).astype(np.float32) * 1e-4
    for start in (32_000, 64_000):
        x[start : start + 8_000] *= 5_000
    return x


class Loudness:
    """Scores each 40 ms by its highest sample; fires when they have passed."""

    step_seconds = STEP / SAMPLE_RATE

    def __init__(self, threshold=0.5, card=None, refractory=1.5):
        self.options, self.card = DetectorOptions(threshold, refractory=refractory), card or {}

    def start(self):
        return np.zeros(0, np.float32)

    def scores(self, samples, state):
        samples = np.concatenate([state, samples])
        n = len(samples) // STEP
        return np.abs(samples[: n * STEP].reshape(n, STEP)).max(1, initial=0), samples[n * STEP :]

    def time(self, step):
        return (step + 1) * STEP / SAMPLE_RATE
