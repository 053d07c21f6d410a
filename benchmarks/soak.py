"""A day of audio through one live stream, faster than real time: memory, lost samples, times at the end.

    python -m benchmarks.soak DATA/speech/dev.jsonl --hours 24
    python -m benchmarks.soak DATA/speech/dev.jsonl --hours 24 --wake-word FILE --clip PHRASE.wav

A line an hour; writes soak.csv (memory by time), .md and .png, or soak-wake-word.*; ends with status 1 if memory
grew, a sample was lost, or a known clip does not give at the end what it gives at a stream's beginning, as many
seconds later.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asr import audio
from asr.live.listener import Listener, ListenerOptions
from asr.live.stream import Result
from asr.recognizer import load
from benchmarks import measure, tables
from benchmarks.joined import BLOCK, RATE, joined
from wakeword.detector import Detection, Detector, WakeWordDetector
from wakeword.detector import load as load_detector
from wakeword.listen import listen

SAMPLED = 60.0  # s of the stream between two looks at the memory
SETTLED = 3600.0  # s after which memory must stay flat
GROWTH, SHIFT = 20.0, 0.0101  # MB and s that are allowed; edges of words are multiples of 10 ms
QUIET = 5.0  # s before and after the known clip
STEP = RATE * 2 // 5  # samples: whole steps of everything that listens
Found = tuple[str, float, float]  # a word, or the wake word; s of the stream at which it begins and ends


class Transcription:
    """One stream of `asr listen`."""

    def __init__(self, listener: Listener):
        self._stream = listener.stream()

    def over(self, blocks: Iterable[np.ndarray]) -> Iterator[Found]:
        for block in blocks:
            yield from self._words(self._stream.feed(block))
        yield from self._words(self._stream.flush())

    @property
    def accounted(self) -> int:
        """Samples that the stream's clock has counted."""
        return round(self._stream.seconds * RATE)

    def _words(self, results: Sequence[Result]) -> Iterator[Found]:
        for result in results:
            if result.kind == "final":
                yield from ((word.text, word.start, word.end) for word in result.words)


class WakeWord(WakeWordDetector):
    """One stream of `wakeword listen`, with its detector looked at."""

    def __init__(self, detector: Detector):
        self._detector, self._state = detector, detector.start()

    def over(self, blocks: Iterable[np.ndarray]) -> Iterator[Found]:
        for heard in listen(self, blocks):
            yield self._detector.phrase, heard.detection.time, heard.detection.time

    @property
    def accounted(self) -> int:
        return round(self._state.steps * self._detector.step_seconds * RATE)

    def start(self):
        return self._state

    def feed(self, samples: np.ndarray, state) -> tuple[list[Detection], object]:
        found, self._state = self._detector.feed(samples, state)
        return found, self._state


Subject = Transcription | WakeWord


def main() -> int:
    options = parser().parse_args()
    machine, rows = measure.machine(), measure.rows(options.manifest)
    name, make = subjects(options)
    known = known_end(options.clip or rows[0]["audio_filepath"])
    alone = make()
    expected = list(alone.over(blocks(known)))
    if not expected:
        print("nothing is heard in the known clip: give another one with --clip", file=sys.stderr)
        return 2
    subject, began = make(), time.process_time()
    memory, samples, found = soak(subject, speech(rows, options.hours * 3600, options.seed), known)
    cost = (time.process_time() - began) * RATE / samples
    lost = (samples - subject.accounted) - (len(known) - alone.accounted)
    later = (samples - len(known)) / RATE
    faults = judged(memory, lost, [(text, a + later, b + later) for text, a, b in expected], found[-len(expected) :])
    report(name, memory, faults, f"{samples:,} samples in. {cost:.4f} CPU s a second of audio. {machine}.", options.out)
    return 1 if any(faults.values()) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath")
    top.add_argument("--hours", type=float, default=24.0, help="of audio (default: 24)")
    top.add_argument("--latency", type=float, default=320.0, metavar="MS")
    top.add_argument("--wake-word", metavar="FILE", help="a detector, instead of a transcription")
    top.add_argument("--clip", metavar="FILE", help="heard at the end (default: the manifest's first)")
    top.add_argument("--seed", type=int, default=1)
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def subjects(options: argparse.Namespace):
    """A name for the files, and what makes one stream after the other."""
    if options.wake_word:
        detector = load_detector(options.wake_word)
        return "soak-wake-word", lambda: WakeWord(detector)
    listener = Listener(load(options.model), ListenerOptions(options.latency))
    return "soak", lambda: Transcription(listener)


def known_end(clip: str) -> np.ndarray:
    """The clip with a quiet time around it; as the steps fall the same way there, so do the words."""
    hush = np.random.default_rng(0).standard_normal(round(QUIET * RATE), np.float32) * 1e-4
    return np.concatenate([hush, audio.load(clip), hush])


def speech(rows: Sequence[dict], seconds: float, seed: int) -> Iterator[np.ndarray]:
    """Blocks of clips in any order with pauses between them; in all a whole number of steps."""
    random, left = np.random.default_rng(seed), round(seconds * RATE / STEP) * STEP
    while left > 0:
        some = joined([rows[i] for i in random.integers(len(rows), size=10)], int(random.integers(2**31)))
        for block in some.blocks():
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return


def blocks(samples: np.ndarray) -> list[np.ndarray]:
    return np.split(samples, range(round(BLOCK * RATE), len(samples), round(BLOCK * RATE)))


def soak(subject: Subject, hours: Iterator[np.ndarray], known: np.ndarray) -> tuple[list[dict], int, list[Found]]:
    """-> rows of time, memory, samples in and accounted; samples in all; what was heard at the end."""
    rows, samples, found = [], 0, []

    def fed() -> Iterator[np.ndarray]:
        nonlocal samples
        for block in hours:
            yield block
            samples += len(block)
            if samples >= len(rows) * SAMPLED * RATE:
                rows.append(row(samples, subject))
        found.clear()
        yield from blocks(known)
        samples += len(known)

    for word in subject.over(fed()):
        found.append(word)
        del found[:-1000]
    return rows, samples, found


def row(samples: int, subject: Subject) -> dict[str, float]:
    """Where a stream stands; said once an hour."""
    hours = samples / RATE / 3600
    if hours % 1 < SAMPLED / 3600:
        text = f"{hours:.2f} h: {resident():.1f} MB, {samples:,} samples in, {subject.accounted:,} accounted for"
        print(text, file=sys.stderr, flush=True)
    return {"hours": hours, "MB": resident(), "samples": samples, "accounted": subject.accounted}


def resident() -> float:
    """MB that this process holds itself, in memory or swapped out; the kernel may take file pages back at any time."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1e3


def judged(memory: list[dict], lost: int, expected: list[Found], found: list[Found]) -> dict[str, str]:
    """What was checked, and a sentence where it failed."""
    settled = [row["MB"] for row in memory if row["hours"] * 3600 >= min(SETTLED, memory[-1]["hours"] * 1800)]
    growth = max(settled) - settled[0]
    same = [text for text, _, _ in found] == [text for text, _, _ in expected]
    shift = max(max(abs(a - c), abs(b - d)) for (_, a, b), (_, c, d) in zip(found, expected)) if same else math.inf
    return {
        f"memory grew by {growth:.1f} MB after the first hour (allowed: {GROWTH:g})": "too much" * (growth > GROWTH),
        f"{lost} samples lost": "lost" * bool(lost),
        f"what is heard last is {1e3 * shift:.1f} ms from where it should be": "wrong" * (shift > SHIFT),
    }


def report(name: str, memory: list[dict], faults: dict[str, str], facts: str, folder: Path) -> None:
    text = f"{memory[-1]['hours']:.1f} h of audio, {facts}\n\n"
    text += "".join(f"- {check}{': ' * bool(fault)}{fault}\n" for check, fault in faults.items())
    hourly = [r | {"hours": round(r["hours"])} for r in memory if r["hours"] % 1 < SAMPLED / 3600]
    text += "\n" + tables.markdown(hourly)
    tables.write(folder, name, memory, text)
    draw(memory, folder / f"{name}.png")


def draw(memory: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    axes.plot([row["hours"] for row in memory], [row["MB"] for row in memory], color="tab:red")
    axes.set(ylim=(0, None), xlabel="hours of audio", ylabel="memory of the process, MB")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
