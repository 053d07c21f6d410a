"""How many words an hour `asr transcribe` writes where nothing is said.

    python -m benchmarks.noise DATA/noise.jsonl

Ten minutes each of digital silence, mains hum, white and pink noise, and of every recorded
noise: a long file by itself, the short clips of a class one after the other, both repeated to ten minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from benchmarks import measure

RATE = audio.SAMPLE_RATE
SHORT = 6.0  # s; shorter files count as clips of a class
LEVEL = 0.05  # RMS of the synthetic sounds: -26 dB of full scale


def main() -> int:
    options = parser().parse_args()
    count, rows, machine = int(60 * options.minutes * RATE), [], measure.machine()
    with tempfile.TemporaryDirectory(prefix="asr-noise-") as folder:
        for name, make in sounds(options.manifest).items():
            if options.only and options.only not in name:
                continue
            sound, path = make(count), Path(folder) / "noise.wav"
            rows.append(heard(name, sound, path, options.model))
            print(f"{name}: {rows[-1]['words']} words {rows[-1]['failure']}", file=sys.stderr, flush=True)
    report(rows, machine, options)
    return 1 if any(row["failure"] for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    top = measure.parser(__doc__, "audio_filepath, duration, corpus")
    top.add_argument("--minutes", type=float, default=10.0, help="of every sound (default: 10)")
    top.add_argument("--only", metavar="TEXT", help="sounds with this in their name")
    return top


def sounds(manifest: Path) -> dict[str, Callable[[int], np.ndarray]]:
    """Name of each sound -> a maker of that many samples."""
    made: dict[str, Callable[[int], np.ndarray]] = {
        "silence": np.zeros,
        "hum 50 Hz": lambda n: hum(n, 50),
        "hum 60 Hz": lambda n: hum(n, 60),
        "white noise": white,
        "pink noise": pink,
    }
    return made | {name: partial(looped, files) for name, files in recorded(manifest).items()}


def recorded(manifest: Path) -> dict[str, list[str]]:
    """Name -> files; clips of a class (ESC's "001 - Dog bark-1-100032-A") come together."""
    groups: dict[str, list[str]] = {}
    for row in measure.rows(manifest):
        path = Path(row["audio_filepath"])
        name = re.sub(r"-\d+-\d+-\w$", "", path.stem) if row["duration"] < SHORT else path.stem
        groups.setdefault(f"{row['corpus']}: {name.strip('_')}", []).append(str(path))
    return groups


def looped(files: list[str], count: int) -> np.ndarray:
    return np.resize(np.concatenate([audio.load(file) for file in files]), count)


def hum(count: int, mains: int) -> np.ndarray:
    """Mains hum: the fundamental and its first harmonics, falling by 1 / k."""
    time = np.arange(count) / RATE
    return scaled(sum((np.sin(2 * np.pi * mains * k * time) / k for k in range(1, 8)), np.zeros(count)))


def white(count: int) -> np.ndarray:
    return scaled(np.random.default_rng(0).standard_normal(count))


def pink(count: int) -> np.ndarray:
    """Power falling as 1 / f; ten seconds, repeated."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(10 * RATE))
    shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))))
    return scaled(np.resize(shaped, count))


def scaled(sound: np.ndarray) -> np.ndarray:
    return sound * (LEVEL / np.sqrt(np.mean(sound**2)))


def heard(name: str, sound: np.ndarray, path: Path, model: str) -> dict[str, object]:
    """Write the sound to a file, transcribe that with the command, count the words."""
    soundfile.write(path, np.clip(sound, -1, 1), RATE, "PCM_16")
    run = measure.run(measure.command("--format", "json", str(path), model=model))
    hours = len(sound) / RATE / 3600
    row = {"sound": name, "minutes": 60 * hours, "words": "", "words per hour": "",
           "CPU s": run.cpu, "first words": "", "failure": ""}  # fmt: skip
    if run.status:
        return row | {"failure": run.failure}
    words = json.loads(run.output)["text"].split()
    found = {"words": len(words), "words per hour": len(words) / hours, "first words": " ".join(words[:8])}
    return row | found


def report(rows: list[dict], machine: str, options: argparse.Namespace) -> None:
    good = [row for row in rows if not row["failure"]]
    words, minutes = (sum(row[key] for row in good) for key in ("words", "minutes"))
    rate = 60 * words / minutes if minutes else ""
    total = {"sound": "all", "minutes": minutes, "words": words, "words per hour": rate}
    text = f"{options.model}. {machine}.\n\n{measure.markdown([*rows, total])}"
    measure.write(options.out, "noise", rows, text)


if __name__ == "__main__":
    sys.exit(main())
