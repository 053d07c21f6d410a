"""A day of audio through one live stream, faster than real time: memory, lost samples, times at the end.

    python -m benchmarks.soak /work/shared/data/speech/dev.jsonl --hours 24

writes soak.csv (memory by time), .md and .png; ends with status 1 if memory grew, a sample was lost, or the words
of the last clip are not those that it gives at a stream's beginning, at the same times.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from asr import audio
from asr.listener import Listener, ListenerOptions
from asr.recognizer import load
from asr.stream import Result, Stream
from asr.transcript import Word
from benchmarks import measure, tables
from benchmarks.joined import BLOCK, RATE, joined

SAMPLED = 60.0  # s of the stream between two looks at the memory
SETTLED = 3600.0  # s after which memory must stay flat
GROWTH, SHIFT = 20.0, 0.0101  # MB and s that are allowed; edges of words are multiples of 10 ms
QUIET = 5.0  # s before the known clip


def main() -> int:
    options = parser().parse_args()
    torch.set_num_threads(1)
    machine, rows = measure.machine(), measure.read_manifest(options.manifest)
    listener = Listener(load(options.model), ListenerOptions(options.latency))
    known = known_end(options.clip or rows[0]["audio_filepath"])
    expected = words(listener.over(np.split(known, range(block_size(), len(known), block_size()))))
    stream, began = listener.stream(), time.process_time()
    memory, samples = soak(stream, speech(rows, options.hours * 3600, options.seed))
    cost = (time.process_time() - began) * RATE / samples
    start = samples / RATE
    found = words([*stream.feed(known), *stream.flush()])[-len(expected) :]
    lost = math.ceil((samples + len(known)) / 160) - round(100 * stream.seconds)
    faults = judged(memory, lost, [(w.text, w.start + start, w.end + start) for w in expected], found)
    report(memory, faults, cost, machine, options)
    return 1 if any(faults.values()) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath")
    top.add_argument("--hours", type=float, default=24.0, help="of audio (default: 24)")
    top.add_argument("--latency", type=float, default=320.0, metavar="MS")
    top.add_argument("--clip", metavar="FILE", help="heard at the end (default: the manifest's first)")
    top.add_argument("--seed", type=int, default=1)
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def known_end(clip: str) -> np.ndarray:
    """The clip with a quiet time around it; as the steps of 40 ms fall the same way there, so do the words."""
    hush = np.random.default_rng(0).standard_normal(round(QUIET * RATE), np.float32) * 1e-4
    return np.concatenate([hush, audio.load(clip), hush])


def speech(rows: Sequence[dict], seconds: float, seed: int) -> Iterator[np.ndarray]:
    """Blocks of clips in any order with pauses between them; in all a whole number of steps of 40 ms."""
    random, left = np.random.default_rng(seed), round(seconds * 25) * RATE // 25
    for number in range(1, sys.maxsize):
        some = joined([rows[i] for i in random.integers(len(rows), size=10)], int(random.integers(2**31)))
        for block in some.blocks():
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return


def soak(stream: Stream, blocks: Iterator[np.ndarray]) -> tuple[list[dict], int]:
    """-> rows of time, memory and sentences so far; samples fed."""
    rows, samples, finals = [], 0, 0
    for block in blocks:
        finals += sum(result.kind == "final" for result in stream.feed(block))
        samples += len(block)
        if samples >= len(rows) * SAMPLED * RATE:
            rows.append({"hours": samples / RATE / 3600, "MB": resident(), "sentences": finals})
            if len(rows) % 30 == 0:
                print(f"{rows[-1]['hours']:.1f} h, {rows[-1]['MB']:.1f} MB", file=sys.stderr, flush=True)
    return rows, samples


def resident() -> float:
    """MB that this process holds itself, in memory or swapped out; the kernel may take file pages back at any time."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1e3


def words(results: Sequence[Result] | Iterator[Result]) -> list[Word]:
    return [word for result in results if result.kind == "final" for word in result.words]


def judged(memory: list[dict], lost: int, expected: list[tuple], found: list[Word]) -> dict[str, str]:
    """What was checked, and a sentence where it failed."""
    settled = [row["MB"] for row in memory if row["hours"] * 3600 >= min(SETTLED, memory[-1]["hours"] * 1800)]
    growth = max(settled) - settled[0]
    same = [w.text for w in found] == [text for text, _, _ in expected] and expected
    shift = max(max(abs(w.start - a), abs(w.end - b)) for w, (_, a, b) in zip(found, expected)) if same else math.inf
    return {
        f"memory grew by {growth:.1f} MB after the first hour (allowed: {GROWTH:g})": "too much" * (growth > GROWTH),
        f"{lost} frames of 10 ms lost": "lost" * bool(lost),
        f"the last words are {1e3 * shift:.1f} ms from where they should be": "wrong" * (shift > SHIFT),
    }


def report(memory: list[dict], faults: dict[str, str], cost: float, machine: str, options: argparse.Namespace) -> None:
    text = f"{options.model}, {options.latency:g} ms, {memory[-1]['hours']:.1f} h of audio. {machine}.\n\n"
    text += "".join(f"- {check}{': ' * bool(fault)}{fault}\n" for check, fault in faults.items())
    text += f"- {memory[-1]['sentences']} sentences, {cost:.4f} CPU s a second of audio\n"
    options.out.mkdir(parents=True, exist_ok=True)
    tables.write_csv(options.out / "soak.csv", memory)
    (options.out / "soak.md").write_text(text)
    draw(memory, options.out / "soak.png")
    print(text)


def draw(memory: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    axes.plot([row["hours"] for row in memory], [row["MB"] for row in memory], color="tab:red")
    axes.set(ylim=(0, None), xlabel="hours of audio", ylabel="memory of the process, MB")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def block_size() -> int:
    return round(BLOCK * RATE)


if __name__ == "__main__":
    sys.exit(main())
