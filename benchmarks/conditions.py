"""Word errors on the same clips as they are, by telephone, across a room, in noise, and very quiet; and by speaker.

    python -m benchmarks.conditions DATA/speech/dev.jsonl DATA/noise.jsonl

Each condition is made from the clips with one seed, so every run hears the same samples.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soxr

import asr
from asr import audio
from asr.recognizer import RecognizerOptions
from asr.training.augment import loudness
from asr.training.config import read_noises
from benchmarks import measure
from benchmarks.clips import count, summary

RATE = audio.SAMPLE_RATE
Condition = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # samples (n,) -> (n,)


def main() -> int:
    parser = measure.parser(__doc__ or "", "audio_filepath, text, corpus and speaker")
    parser.add_argument("noise", type=Path, help="manifest of background noises")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th clip")
    options = parser.parse_args()
    rows, table, clean = measure.rows(options.manifest)[:: options.every], [], []
    recognizer = asr.load(options.model, RecognizerOptions(written=None))
    for name, condition in conditions(read_noises(options.noise)).items():
        texts = []
        for number, row in enumerate(rows):
            samples = condition(audio.load(row["audio_filepath"]), np.random.default_rng([1, number]))
            texts.append(recognizer.transcribe(np.clip(np.round(samples * 32768) / 32768, -1, 1)).text)
        clean = clean or texts
        table.append(line(name, rows, texts))
        print(table[-1], file=sys.stderr, flush=True)
    table += [line(f"as they are: {name}", *some) for name, some in by_speakers(rows, clean).items()]
    text = f"{measure.machine()}\n\n{measure.markdown([measure.with_intervals(row) for row in table])}\n"
    measure.write(options.out, "conditions", table, text)
    return 0


def line(name: str, rows: list[dict], texts: list[str]) -> dict:
    return {"speech": name, "clips": len(rows)} | summary("words wrong (%)", *count([r["text"] for r in rows], texts))


def conditions(noises: list[np.ndarray]) -> dict[str, Condition]:
    return {
        "as they are": lambda x, _: x,
        "by telephone (8 kHz, 300 to 3,400 Hz, mu-law)": telephone,
        "across a room (3 m, RT60 0.64 s)": across_a_room,
        "in noise at 20 dB": partial(in_noise, noises, 20.0),
        "in noise at 10 dB": partial(in_noise, noises, 10.0),
        "in noise at 0 dB": partial(in_noise, noises, 0.0),
        "quiet (-50 dBFS)": lambda x, _: x * 10 ** (-50 / 20) / max(loudness(x), 1e-4),
    }


def telephone(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """By G.711: a telephone's band, 8,000 samples a second of 8 bits."""
    spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / RATE)
    narrow = soxr.resample(np.fft.irfft(spectrum * ((hz > 300) & (hz < 3_400)), len(x)), RATE, 8_000)
    companded = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    companded = np.round(companded * 127) / 127
    heard = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    return np.resize(soxr.resample(heard, 8_000, RATE), len(x))


def across_a_room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The direct sound, and after 5 ms a tail that is 5 dB louder and falls by 60 dB in 0.64 s."""
    t = np.arange(int(0.64 * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / 0.64) * (t > 0.005)
    tail *= 10 ** (5 / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = len(x) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]
    return wet * loudness(x) / max(loudness(wet), 1e-4)


def in_noise(noises: list[np.ndarray], snr: float, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """snr: dB of the speech's loud parts over those of a noise of the manifest."""
    noise = np.resize(noises[int(rng.integers(len(noises)))], len(x))
    mixed = x + noise * loudness(x) / max(loudness(noise), 1e-4) * 10 ** (-snr / 20)
    return mixed / max(1.0, np.abs(mixed).max(initial=0))


def by_speakers(rows: list[dict], texts: list[str]) -> dict[str, tuple[list[dict], list[str]]]:
    """Each corpus, and the quarters of the speakers who have three clips and more, from the best understood on."""
    groups, speakers = defaultdict(list), defaultdict(list)
    for i, row in enumerate(rows):
        groups[row["corpus"]].append(i)
        speakers[row["speaker"]].append(i)
    wrong, total = count([row["text"] for row in rows], texts)
    known = [some for some in speakers.values() if len(some) >= 3]
    known.sort(key=lambda some: wrong[some].sum() / total[some].sum())
    for name, quarter in zip(("best", "second", "third", "worst"), np.array_split(np.arange(len(known)), 4)):
        groups[f"the {name} quarter of {len(known)} speakers"] = [i for k in quarter for i in known[k]]
    return {name: ([rows[i] for i in some], [texts[i] for i in some]) for name, some in groups.items() if some}


if __name__ == "__main__":
    sys.exit(main())
