"""A miniature of Speech Commands, spoken by the synthesisers that are installed, in the corpus' own layout.

    python -m recipes.speech_commands.miniature FOLDER --clips 2400

For trying the recipe where the corpus cannot be had. Its scores say nothing about people: voices of the test set are
kept from training, but a synthesiser says a word nearly the same way every time.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE
from recipes.speech_commands.corpus import BACKGROUND, CLIP, LISTS, WORDS
from wakeword.synthesis import Job, Spoken, speak
from wakeword.train.negatives import DATA
from wakeword.voices import VOICES, VoiceError, chosen

HELD = {  # voices
    "validation": ("flite-awb", "festival-ked", "espeak-en-gb-scotland"),
    "testing": ("piper", "flite-slt", "espeak-en-029"),
}
MINUTES = 6  # of background noise, in files of one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=2400)
    parser.add_argument("--voices", help="with commas between (default: the fast ones that are installed)")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    try:
        write(options.folder, options.clips, options.voices.split(",") if options.voices else (), options.processes)
    except VoiceError as error:
        sys.exit(f"miniature: {error}")


def write(folder: Path, clips: int, voices: Sequence[str] = (), processes: int = 1) -> None:
    """Stopped at any moment, the same call goes on. Raises VoiceError."""
    slow = {voice.name for voice in VOICES if voice.speed == "slow"}
    voices = tuple(voice for voice in chosen(voices) if voices or voice not in slow)
    job = Job(folder / "_spoken_", WORDS, clips, voices, seed=1, longest=1.5)
    [spoken] = speak([job], processes, lambda n: print(f"{n} of {clips}", file=sys.stderr, flush=True))
    lists: dict[str, list[str]] = {name: [] for name in HELD}
    for number, clip in enumerate(spoken):
        speaker = hashlib.sha1(clip.speaker.encode()).hexdigest()[:8]
        name = f"{clip.text}/{speaker}_nohash_{number}.wav"
        (folder / clip.text).mkdir(exist_ok=True)
        soundfile.write(folder / name, _second(clip, np.random.default_rng(number)), SAMPLE_RATE)
        for part, speakers in HELD.items():
            if clip.speaker.startswith(speakers):
                lists[part].append(name)
    for part, names in lists.items():
        (folder / LISTS[part]).write_text("".join(f"{name}\n" for name in names))
    _write_background(folder / BACKGROUND)


def _second(clip: Spoken, rng: np.random.Generator) -> np.ndarray:
    """The word somewhere in a second of a microphone's hiss (CLIP,), as loud as recordings are."""
    samples = clip.samples[:CLIP]
    out = rng.standard_normal(CLIP) * 10 ** (rng.uniform(-80, -55) / 20)
    start = rng.integers(CLIP - len(samples) + 1)
    out[start : start + len(samples)] += samples * rng.uniform(0.1, 1.6)
    return np.clip(out, -1, 1)


def _write_background(folder: Path) -> None:
    """The packaged noise, a minute a file."""
    folder.mkdir(exist_ok=True)
    noise = soundfile.read(DATA / "noise-train.opus", dtype="float32")[0]
    minute = 60 * SAMPLE_RATE
    for i in range(min(MINUTES, len(noise) // minute)):
        soundfile.write(folder / f"{i}.wav", noise[i * minute : (i + 1) * minute], SAMPLE_RATE)


if __name__ == "__main__":
    main()
