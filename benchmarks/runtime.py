"""What exported models cost beside torch, on one thread, and whether they hear the same.

    asr export english --check tests/data && wakeword export computer --check tests/data
    python -m benchmarks.runtime /work/shared/data/speech/dev.jsonl --models english english-onnx \\
        --wake computer computer.onnx

Clips are joined with pauses between them, as in a recording of many sentences. Every model has a process of its own,
in which only checkpoints may import torch; costs are CPU time. Writes runtime.md, runtime.csv for recognisers,
runtime-wake.csv and runtime-start.csv.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import measure, tables
from benchmarks.joined import Joined, streams

Texts = list[str]
Measured = tuple[dict[str, float], Texts]  # what a model costs, and what it heard
TRIES = 5  # of a start, of which the quickest counts
START = """
import sys, time
if sys.argv[2] == "no torch":
    sys.modules["torch"] = None
began = time.perf_counter(), time.process_time()
import asr
asr.load, asr.Listener
imported = time.perf_counter(), time.process_time()
asr.load(sys.argv[1], threads=1)
loaded = time.perf_counter(), time.process_time()
print([b - a for first, last in ((began, imported), (imported, loaded)) for a, b in zip(first, last)])
"""


def main() -> int:
    options = parser().parse_args()
    os.environ.update(measure.one_thread())
    machine = measure.machine()
    sounds = streams(measure.rows(options.manifest)[:: options.every], options.clips, options.seed)
    found = {
        "runtime": compared(options.models, alone(recognising, options.models, sounds)),
        "runtime-wake": compared(options.wake, alone(listening, options.wake, sounds)),
        "runtime-start": [{"model": Path(model).name} | start(model) for model in options.models],
    }
    of_speech = sum(row["duration"] for sound in sounds for row in sound.rows)
    text = f"{machine}; {sum(s.seconds for s in sounds):.0f} s of audio, {of_speech:.0f} s of them clips\n"
    text += "".join("\n" + tables.markdown(rows) for rows in found.values() if rows)
    print(text)
    if options.out:
        write(options.out, text, found)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text")
    top.add_argument("--models", nargs="*", default=[], metavar="MODEL", help="the first is what others compare with")
    top.add_argument("--wake", nargs="*", default=[], metavar="DETECTOR", help="likewise")
    top.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth clip (default: all)")
    top.add_argument("--clips", type=int, default=20, metavar="N", help="joined to a recording (default: 20)")
    top.add_argument("--seed", type=int, default=1, help="of the order of the clips and of the pauses")
    top.add_argument("--out", type=Path, metavar="DIR", help="for the tables, too (benchmarks/results)")
    return top


def write(folder: Path, text: str, found: dict[str, list[dict]]) -> None:
    (folder / "runtime.md").write_text(f"    {' '.join(['python -m benchmarks.runtime', *sys.argv[1:]])}\n\n{text}")
    for name, rows in found.items():
        if rows:
            tables.write_csv(folder / f"{name}.csv", rows)


# --- each model in a process of its own


def alone(work: Callable[[str, Sequence[Joined]], Measured], models: Sequence[str], sounds: Any) -> list[Measured]:
    """What each model costs, and what it heard."""
    found = []
    for model in models:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), forbid, (model,)) as process:
            found.append(process.submit(work, model, sounds).result())
    return found


def exported(model: str) -> bool:
    return Path(model).is_dir() or model.endswith(".onnx")


def forbid(model: str) -> None:
    """Where it has to do without torch, nothing can import it."""
    if exported(model):
        sys.modules["torch"] = None  # type: ignore[assignment]  # None: to import it fails


def start(model: str) -> dict[str, float]:
    """Seconds that it takes to import the package, and then to open a model: wall and CPU time."""
    command = [sys.executable, "-c", START, model, "no torch" if exported(model) else ""]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(TRIES)]
    names = "import, s", "import, CPU s", "open, s", "open, CPU s"
    return dict(zip(names, map(min, zip(*map(json.loads, runs)))))


def recognising(model: str, sounds: Sequence[Joined]) -> Measured:
    """-> CPU seconds a second of audio, and what was heard: of recordings as files, then of the same as streams."""
    from asr.recognizer import load

    recognizer, seconds = load(model, threads=1), sum(s.seconds for s in sounds)
    as_files, files = timed(lambda s: [found.text for found in recognizer.segments([s.samples])], sounds)
    encoding, _ = timed(lambda s: [str(len(list(recognizer.posteriors([s.samples]))))], sounds)
    live, finals = timed(lambda s: heard(recognizer, s), sounds)
    costs = {"file": as_files / seconds, "of it search": (as_files - encoding) / seconds, "live": live / seconds}
    return costs, files + finals


def heard(recognizer: Any, sound: Joined) -> Texts:
    from asr.live.listener import Listener, ListenerOptions

    results = Listener(recognizer, ListenerOptions()).over(sound.blocks())
    return [result.text for result in results if result.kind == "final"]


def listening(model: str, sounds: Sequence[Joined]) -> Measured:
    """-> CPU seconds an hour, in the blocks of a microphone, and of each second the highest score."""
    import wakeword.detector

    detector = wakeword.detector.load(model)

    def detected(sound: Joined) -> Texts:
        state, scores = detector.start(), []
        for block in sound.blocks():
            more, state = detector.scores(block, state)
            scores += more.tolist()
        second = round(1 / detector.step_seconds)
        return [f"{max(scores[i : i + second]):.3f}" for i in range(0, len(scores), second)]

    cpu, found = timed(detected, sounds)
    return {"CPU s an hour": 3600 * cpu / sum(s.seconds for s in sounds)}, found


def timed(work: Callable[[Joined], Texts], sounds: Sequence[Joined]) -> tuple[float, Texts]:
    """-> CPU seconds, and all results after each other."""
    work(sounds[0])  # tables are made, memory is taken
    began, found = time.process_time(), []
    for sound in sounds:
        found += work(sound)
    return time.process_time() - began, found


def compared(models: Sequence[str], measured: Sequence[Measured]) -> list[dict]:
    """A row for each: its costs, and how many results are those of the first."""
    rows = []
    for name, (costs, found) in zip(models, measured):
        wanted = measured[0][1]
        same = sum(a == b for a, b in zip(wanted, found)) if len(wanted) == len(found) else 0
        rows.append({"model": Path(name).name, **costs, "results": len(found), "the same": same})
        for a, b in zip(wanted, found):
            if a != b:
                print(f"{name}: {b!r} for {a!r}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    sys.exit(main())
