"""What the commands cost as a user starts them: CPU seconds and memory of whole processes, one thread.

    python -m benchmarks.light speech/dev.jsonl [--model FILE]

A clip and five minutes of clips through `asr transcribe`, a live stream at 320 ms, a wake word. The least of some runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.growth import chained

CLIP, LONG, LIVE = 5, 300, 140  # s of sound
STREAM = """
import resource, sys, time
import soundfile
from asr.live import Listener
from asr.recognizer import load
listener, (samples, _) = Listener(load(sys.argv[2])), soundfile.read(sys.argv[1], dtype="float32")
list(listener.over([samples[:80_000]]))
began, stream = time.process_time(), listener.stream()
for i in range(0, len(samples), 1280):
    stream.feed(samples[i : i + 1280])
stream.flush()
print((time.process_time() - began) / len(samples) * 16_000)
"""
WAKE = """
import sys
import wave
import numpy
import wakeword.cli_listen
detector = wakeword.load("computer")
state = detector.start()
with wave.open(sys.argv[1]) as file:
    while block := file.readframes(1280):
        if sys.argv[2] == "talk":
            _, state = detector.feed(numpy.frombuffer(block, numpy.int16), state)
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text")
    parser.add_argument("--model", default="english", help="packaged model or checkpoint")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    clips, machine = [row["audio_filepath"] for row in measure.rows(options.manifest)], measure.machine()
    with tempfile.TemporaryDirectory(prefix="asr-light-") as folder:
        clip, long, live = (chained(clips, s, Path(folder) / f"{s}.wav") for s in (CLIP, LONG, LIVE))
        jobs = {
            f"asr transcribe, {CLIP} s": measure.command(str(clip), model=options.model),
            f"asr transcribe, {LONG} s": measure.command(str(long), model=options.model),
            f"a live stream at 320 ms, {LIVE} s in blocks of 80 ms": [
                sys.executable, "-c", STREAM, str(live), options.model
            ],
            "a wake word before it has heard anything": [sys.executable, "-c", WAKE, str(live), "nothing"],
            f"a wake word, {LIVE} s of talk": [sys.executable, "-c", WAKE, str(live), "talk"],
        }  # fmt: skip
        rows = []
        for name, command in jobs.items():
            runs = [measure.run(command) for _ in range(options.runs)]
            told = min((float(r.output) for r in runs if not r.status), default=0.0) if "-c" in command else 0.0
            # this script is larger than a wake word, whose process tells its own peak
            peak = told if WAKE in command else min(r.peak for r in runs)
            row: dict = {"what": name, "CPU s": min(r.cpu for r in runs), "peak MB": peak}
            alone = told if STREAM in command else ""
            rows.append(row | {"CPU s per audio s without the start": alone, "failure": runs[0].failure})
            print(measure.markdown(rows[-1:]), file=sys.stderr, flush=True)
    print(f"{options.model}, one thread, the least of {options.runs} runs. {machine}.\n\n{measure.markdown(rows)}")


if __name__ == "__main__":
    main()
