"""Two public voice activity detectors, for the table in README.md: samples -> one probability each 40 ms.

pip install webrtcvad-wheels onnxruntime; pip install --no-deps silero-vad
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import distribution

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.audio.vad import STEPS_PER_SECOND


def _each_step(values: np.ndarray, samples_per_value: int) -> np.ndarray:
    """Values of another spacing -> the one at the middle of each 40 ms."""
    step = SAMPLE_RATE // STEPS_PER_SECOND
    middles = np.arange(len(values) * samples_per_value // step) * step + step // 2
    return values[middles // samples_per_value]


def silero() -> Callable[[np.ndarray], np.ndarray]:
    """Silero VAD (ONNX, one thread): 512 samples and the 64 before them."""
    import onnxruntime

    path = distribution("silero-vad").locate_file("silero_vad/data/silero_vad.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)

    def probabilities(samples: np.ndarray) -> np.ndarray:
        samples = np.pad(samples, (64, -len(samples) % 512 + 512))
        state, out = np.zeros((2, 1, 128), np.float32), []
        for i in range(0, len(samples) - 64, 512):
            inputs = {"input": samples[None, i : i + 576], "state": state, "sr": np.array(SAMPLE_RATE)}
            p, state = session.run(None, inputs)
            out.append(p[0, 0])
        return _each_step(np.array(out), 512)

    return probabilities


def webrtc() -> Callable[[np.ndarray], np.ndarray]:
    """WebRTC's detector at aggressiveness 2: 0.01 or 0.99 each 10 ms, their mean over 40 ms."""
    import webrtcvad

    def probabilities(samples: np.ndarray) -> np.ndarray:
        detector = webrtcvad.Vad(2)
        pcm = (np.clip(np.pad(samples, (0, -len(samples) % 640)), -1, 1) * 32767).astype("<i2")
        frames = [detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in pcm.reshape(-1, 160)]
        return 0.01 + 0.98 * np.array(frames, float).reshape(-1, 4).mean(1)

    return probabilities


PEERS = {"silero": silero, "webrtc": webrtc}
