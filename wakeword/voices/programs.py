"""Synthesisers that are programs: a text on standard input, a wav file out."""

from __future__ import annotations

import os
import subprocess
import tempfile
from abc import abstractmethod
from pathlib import Path
from shutil import which

import numpy as np
import soundfile

from wakeword.voices.neural import Voice, to_16k


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
