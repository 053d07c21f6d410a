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

import asr
from asr import audio
from asr.recognizer import RecognizerOptions
from asr.training.augment import loudness, telephone
from asr.training.config import read_noises
from benchmarks import measure
from benchmarks.clips import count, summary
from wakeword.evaluate.conditions import across_a_room, in_16_bits, quiet

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
            texts.append(recognizer.transcribe(in_16_bits(samples)).text)
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
        "by telephone (8 kHz, 300 to 3,400 Hz, mu-law)": lambda x, _: telephone(x),
        "across a room (3 m, RT60 0.64 s)": across_a_room,
        "in noise at 20 dB": partial(in_noise, noises, 20.0),
        "in noise at 10 dB": partial(in_noise, noises, 10.0),
        "in noise at 0 dB": partial(in_noise, noises, 0.0),
        "quiet (-50 dBFS)": lambda x, _: quiet(x, -50.0),
    }


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
