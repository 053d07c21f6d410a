"""Training throughput: hours of audio an hour, on one thread a process; by one process and by several.

    python -m benchmarks.training speech/train.jsonl --noise noise.jsonl

writes training.csv and .md. It is the loop of `asr train` that is measured, with reading, augmentation, both CTC heads,
the optimiser and, of several processes, the exchange of gradients; evaluations are not. The audio is decoded before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import measure, tables
from benchmarks.training_process import Work, totals


def main() -> int:
    top = parser()
    options = top.parse_args()
    if not 0 < options.warm_up < options.updates - 1:
        top.error("--warm-up must lie between 1 and two less than --updates")
    machine, rows = measure.machine(), []
    with tempfile.TemporaryDirectory(prefix="asr-training-") as folder:
        manifest, config = str(options.manifest.resolve()), str(options.config.resolve())
        dev, noise = (str(path.resolve()) if path else None for path in (options.dev, options.noise))
        size = options.layers, options.hidden, options.updates, options.every
        work = Work(manifest, dev, noise, config, *size, cache=folder)
        run(replace(work, updates=1), 1)  # decodes the audio
        for processes in options.processes:
            found = run(work, processes)
            rows.append(row(processes, found, options.warm_up))
            print(tables.markdown(rows[-1:]), file=sys.stderr, flush=True)
    report(rows, machine, options)
    return 1 if any(r["failure"] for r in rows) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text")
    top.add_argument("--dev", type=Path, metavar="MANIFEST", help="default: the first utterances of the training's")
    top.add_argument("--noise", type=Path, metavar="MANIFEST", help="background noises, 16 kHz and one channel")
    top.add_argument("--config", type=Path, default=measure.ROOT / "recipes" / "english" / "config.toml",
                     help="settings but the model's (default: those of the packaged model)")  # fmt: skip
    top.add_argument("--layers", type=int, default=4)
    top.add_argument("--hidden", type=int, default=320, help="of each direction (default: 320)")
    top.add_argument("--processes", type=int, nargs="+", default=[1, 2], metavar="N")
    top.add_argument("--updates", type=int, default=40, metavar="N", help="of each run (default: 40)")
    top.add_argument("--warm-up", type=int, default=5, metavar="N", help="updates before those that count (default: 5)")
    top.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def run(work: Work, processes: int) -> list[dict] | str:
    """-> what each process measured; or how they failed."""
    with tempfile.TemporaryDirectory(prefix="asr-training-") as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps(asdict(work)))
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *(several if processes > 1 else []), "-m", "benchmarks.training_process", str(job)]
        done = subprocess.run(command, cwd=measure.ROOT, env=measure.one_thread(), capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            reason = next((line for line in lines if "Error: " in line), "")  # torchrun has the last word
            return f"exit status {done.returncode}: {reason}"
        return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("rank-*.json"))]


def row(processes: int, found: list[dict] | str, warm_up: int) -> dict[str, object]:
    """Of all processes together; a stage's time is that of one process for a second that it hears."""
    if isinstance(found, str):
        return {"processes": processes, "failure": found}
    parts = [totals(process["marks"], warm_up) for process in found]
    heard, cpu = (sum(part[key] for part in parts) for key in ("heard", "cpu"))
    padded = sum(part["padded"] for part in parts)
    values = {
        "processes": processes,
        "million parameters": found[0]["parameters"] / 1e6,
        "updates": len(found[0]["marks"]) - warm_up - 1,
        "hours of audio": heard / 3600,
        "an hour": heard / max(part["wall"] for part in parts),
        "a CPU hour": heard / cpu,
        "padding %": 100 * (padded / heard - 1),
    }
    stages = sum((Counter(part["stages"]) for part in parts), Counter())
    return values | {f"{name} ms": 1e3 * spent / heard for name, spent in stages.most_common()} | {"failure": ""}


def report(rows: list[dict], machine: str, options: argparse.Namespace) -> None:
    settings = f"{options.layers} layers of {options.hidden}, {options.config.name}, bf16"
    text = (
        f"{settings}, one thread a process. {machine}.\n\nStages in CPU milliseconds for a second of audio; hours as "
        f"augmented, with random pauses, without padding.\n\n{tables.markdown(rows)}\n"
    )
    done = [r for r in rows if not r["failure"]]
    for r in done[1:]:
        text += f"{r['processes']} processes: {r['an hour'] / done[0]['an hour']:.2f} times {done[0]['processes']}.\n"
    tables.write(options.out, "training", rows, text)


if __name__ == "__main__":
    sys.exit(main())
