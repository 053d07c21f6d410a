"""How many live transcriptions, and how many wake-word streams, one core carries.

    python -m benchmarks.streams DATA/speech/dev.jsonl

writes streams.csv and .md. All streams bring a block of 80 ms at the same time; what that costs is CPU time, so a
busy machine disturbs little. Every stream's results are compared with those it gives alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from asr.live import Listener
from asr.live.stream import Result
from asr.recognizer import load
from benchmarks import measure
from benchmarks.clips import BLOCK, RATE, joined
from wakeword.detector import Detection, Detector, DetectorOptions
from wakeword.detector import load as load_detector
from wakeword.train import TriggerModel, TriggerOptions

Feed = Callable[[Sequence[np.ndarray]], Sequence[list]]  # a block of each stream -> the results of each


def main() -> int:
    options = parser().parse_args()
    torch.set_num_threads(1)
    machine, manifest = measure.machine(), measure.rows(options.manifest)
    listener, detector = Listener(load(options.model)), wake_word(options.detector)
    sounds = [sound(manifest, seed, options.seconds) for seed in range(max(*options.listen, *options.wake))]
    rows = []
    for kind, counts, make in (
        ("transcription", options.listen, lambda n: transcriptions(listener, n)),
        ("wake word", options.wake, lambda n: detections(detector, n)),
    ):
        few = sounds[: max(counts)][: options.alone]
        alone = [run(make(1), [one])[0][0] for one in few]
        for count in counts:
            rows.append(measured(kind, make(count), sounds[:count], alone))
            print(f"{kind}, {count} done", file=sys.stderr, flush=True)
    report(rows, machine, options)
    return 1 if any(row["others than alone"] for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    top = measure.parser(__doc__, "audio_filepath")
    top.add_argument("--listen", type=int, nargs="+", default=[1, 10, 40, 60], metavar="N", help="transcriptions")
    top.add_argument("--wake", type=int, nargs="+", default=[1, 100, 400, 800], metavar="N", help="wake-word streams")
    top.add_argument("--seconds", type=float, default=20.0, help="of each stream (default: 20)")
    top.add_argument("--alone", type=int, default=40, metavar="N", help="streams also run alone (default: 40)")
    top.add_argument("--detector", metavar="FILE", help="default: weights by chance, which cost the same")
    return top


def sound(manifest: Sequence[dict], seed: int, seconds: float) -> list[np.ndarray]:
    """Blocks of clips joined, begun somewhere within them."""
    random = np.random.default_rng(seed)
    samples = joined([manifest[i] for i in random.permutation(len(manifest))[: int(seconds) // 4 + 2]], seed).samples
    samples = np.resize(np.roll(samples, -int(random.integers(len(samples)))), round(seconds * RATE))
    return np.split(samples, range(round(BLOCK * RATE), len(samples), round(BLOCK * RATE)))


def wake_word(path: str | None, options: TriggerOptions = TriggerOptions()) -> Detector:
    """Of a file; without one untrained, which costs as much as a trained one."""
    if path:
        return load_detector(path)
    torch.manual_seed(1)
    model = TriggerModel(options)
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return Detector(tensors, options.asdict(), {"phrase": "chance"}, DetectorOptions(0.5))


def transcriptions(listener: Listener, count: int) -> Feed:
    streams = [listener.stream() for _ in range(count)]
    return lambda blocks: [[seen(r) for r in results] for results in listener.feed(streams, blocks)]


def seen(result: Result) -> tuple:
    """All but confidences, whose last bits differ as matrix products do."""
    words = tuple((w.text, w.start, w.end) for w in result.words)
    return result.kind, result.segment, result.time, result.text, result.stable, words


def detections(detector: Detector, count: int) -> Feed:
    states = [detector.start() for _ in range(count)]

    def feed(blocks: Sequence[np.ndarray]) -> list[list[Detection]]:
        found = [detector.feed(block, state) for block, state in zip(blocks, states)]
        states[:] = [state for _, state in found]
        return [some for some, _ in found]

    return feed


def run(feed: Feed, sounds: Sequence[list[np.ndarray]]) -> tuple[list[list], list[float]]:
    """-> the results of each stream, the CPU seconds of each round of blocks."""
    results, spent = [[] for _ in sounds], []
    for blocks in zip(*sounds):
        began = time.process_time()
        found = feed(blocks)
        spent.append(time.process_time() - began)
        for some, new in zip(results, found):
            some += new
    return results, spent


def measured(kind: str, feed: Feed, sounds: Sequence[list[np.ndarray]], alone: Sequence[list]) -> dict[str, object]:
    """A row; the lag is that of a core which does nothing else."""
    results, spent = run(feed, sounds)
    lag = most = 0.0
    for cost in spent:
        lag = max(0.0, lag + cost - BLOCK)
        most = max(most, lag)
    load = sum(spent) / (BLOCK * len(spent))
    return {
        "streams of": kind,
        "number": len(sounds),
        "cores": load,
        "ms a stream and second": 1e3 * load / len(sounds),
        "one core carries": int(len(sounds) / load),
        "greatest lag s": most,
        "compared": min(len(sounds), len(alone)),
        "others than alone": sum(a != b for a, b in zip(results, alone)),
    }


def report(rows: list[dict], machine: str, options: argparse.Namespace) -> None:
    detector = options.detector or "weights by chance"
    text = f"{options.model}, latency 320 ms; wake word: {detector}; {options.seconds:g} s a stream. {machine}.\n\n"
    text += measure.markdown(rows)
    measure.write(options.out, "streams", rows, text)


if __name__ == "__main__":
    sys.exit(main())
