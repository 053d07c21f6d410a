"""What exported models cost beside torch, on one thread, and whether they hear the same.

    asr export english --check tests/data && wakeword export snowboy
    python -m benchmarks.runtime /work/shared/data/speech/dev.jsonl --models english english-onnx \\
        --wake snowboy snowboy.onnx

Clips are joined with pauses between them, as in a recording of many sentences; costs are CPU time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import wakeword.detector
from asr.listener import Listener, ListenerOptions
from asr.recognizer import Recognizer, load
from benchmarks import measure, tables
from benchmarks.joined import Joined, streams

Texts = list[str]


def main() -> int:
    options = parser().parse_args()
    machine = measure.machine()
    sounds = streams(measure.read_manifest(options.manifest)[:: options.every], options.clips, options.seed)
    recognisers = compared([(str(m), recognising(m, sounds)) for m in options.models])
    detectors = compared([(str(m), listening(m, sounds)) for m in options.wake])
    text = f"{machine}; {sum(s.seconds for s in sounds):.0f} s of audio\n\n"
    text += "\n".join(tables.markdown(rows) for rows in (recognisers, detectors) if rows)
    print(text)
    if options.out:
        options.out.write_text(text)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text")
    top.add_argument("--models", nargs="*", default=[], metavar="MODEL", help="the first is what others compare with")
    top.add_argument("--wake", nargs="*", default=[], metavar="DETECTOR", help="likewise")
    top.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth clip (default: all)")
    top.add_argument("--clips", type=int, default=20, metavar="N", help="joined to a recording (default: 20)")
    top.add_argument("--seed", type=int, default=1, help="of the order of the clips and of the pauses")
    top.add_argument("--out", type=Path, metavar="FILE", help="for the tables, too")
    return top


def recognising(model: str, sounds: Sequence[Joined]) -> tuple[dict, Texts]:
    """-> CPU seconds a second of audio, and what was heard: of recordings as files, then of the same as streams."""
    recognizer, seconds = load(model, threads=1), sum(s.seconds for s in sounds)
    as_files, files = timed(lambda s: [found.text for found in recognizer.segments([s.samples])], sounds)
    encoding, _ = timed(lambda s: [str(len(list(recognizer.heads([s.samples]))))], sounds)
    live, finals = timed(lambda s: heard(recognizer, s), sounds)
    costs = {"file": as_files / seconds, "of it search": (as_files - encoding) / seconds, "live": live / seconds}
    return costs, files + finals


def heard(recognizer: Recognizer, sound: Joined) -> Texts:
    results = Listener(recognizer, ListenerOptions()).over(sound.blocks())
    return [result.text for result in results if result.kind == "final"]


def listening(model: str, sounds: Sequence[Joined]) -> tuple[dict, Texts]:
    """-> CPU seconds an hour, in the blocks of a microphone, and what was detected."""
    detector = wakeword.detector.load(model)

    def detected(sound: Joined) -> Texts:
        state, found = detector.start(), []
        for block in sound.blocks():
            more, state = detector.feed(block, state)
            found += [f"{d.time:.2f}" for d in more]
        return found

    cpu, found = timed(detected, sounds)
    return {"CPU s an hour": 3600 * cpu / sum(s.seconds for s in sounds)}, found


def timed(work: Callable[[Joined], Texts], sounds: Sequence[Joined]) -> tuple[float, Texts]:
    """-> CPU seconds, and all results after each other."""
    work(sounds[0])  # tables are made, memory is taken
    began, found = time.process_time(), []
    for sound in sounds:
        found += work(sound)
    return time.process_time() - began, found


def compared(measured: Sequence[tuple[str, tuple[dict, Texts]]]) -> list[dict]:
    """A row for each: its costs, and how many results are those of the first."""
    rows = []
    for name, (costs, found) in measured:
        wanted = measured[0][1][1]
        same = sum(a == b for a, b in zip(wanted, found)) if len(wanted) == len(found) else 0
        rows.append({"model": Path(name).name, **costs, "results": len(found), "the same": same})
        for a, b in zip(wanted, found):
            if a != b:
                print(f"{name}: {b!r} for {a!r}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    sys.exit(main())
