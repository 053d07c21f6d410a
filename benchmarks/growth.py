"""Cost per second of audio and peak memory against the length of a file; time to the first text.

    python -m benchmarks.growth /work/shared/data/speech/dev.jsonl

The files are clips of the manifest with short pauses between them, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from benchmarks import measure, tables

RATE = audio.SAMPLE_RATE
ENOUGH = 120.0  # s of audio for a steady figure: shorter files are transcribed several times


def main() -> int:
    options = parser().parse_args()
    machine, rows = measure.machine(), []
    clips = [row["audio_filepath"] for row in measure.read_manifest(options.manifest)]
    with tempfile.TemporaryDirectory(prefix="asr-growth-") as folder:
        short = str(chained(clips, 5.0, Path(folder) / "short.wav"))
        for seconds in options.lengths:
            path = chained(clips, seconds, Path(folder) / "long.wav")
            rows.append(cost(path, seconds, short, options))
            print(tables.markdown(rows[-1:]), file=sys.stderr, flush=True)
        runs = [measure.run(measure.command(short, model=options.model)) for _ in range(options.starts)]
    report(rows, runs, machine, options)
    return 1 if any(row["failure"] for row in rows) or any(run.status for run in runs) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath; all clips are used in turn")
    top.add_argument("--lengths", type=float, nargs="+", default=[10, 60, 600, 3600, 7200], metavar="S")
    top.add_argument("--starts", type=int, default=7, help="of the command with 5 s of speech (default: 7)")
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def chained(clips: list[str], seconds: float, path: Path) -> Path:
    """Write clips in shuffled order, 0.3 to 1 s of silence between, cut to the length; in little memory."""
    random, left = np.random.default_rng(0), round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            for number in random.permutation(len(clips)):
                pause = np.zeros(int(random.uniform(0.3, 1.0) * RATE), np.float32)
                piece = np.concatenate([audio.load(clips[number]), pause])[:left]
                file.write(piece)
                left -= len(piece)
                if not left:
                    break
    return path


def cost(path: Path, seconds: float, short: str, options: argparse.Namespace) -> dict[str, object]:
    """Warm up on the short file, then the long one, in one process through the Python API."""
    times = max(1, round(ENOUGH / seconds))
    run, result = measure.engine("ours", [short] + [str(path)] * times, options.model)
    row = {"minutes": seconds / 60, "times": times, "CPU s per audio s": "", "wall s per audio s": "",
           "peak MB": run.peak, "failure": ""}  # fmt: skip
    if result is None:
        return row | {"failure": f"exit status {run.status}: {run.errors.strip()[-200:]}"}
    clips = result["clips"][1:]
    if broken := [clip["error"] for clip in clips if clip["error"]]:
        return row | {"failure": broken[0]}
    row["CPU s per audio s"] = statistics.fmean(clip["cpu"] for clip in clips) / seconds
    row["wall s per audio s"] = statistics.fmean(clip["wall"] for clip in clips) / seconds
    return row


def report(rows: list[dict], runs: list[measure.Run], machine: str, options: argparse.Namespace) -> None:
    good = [row["CPU s per audio s"] for row in rows if not row["failure"] and row["minutes"] >= 1]
    text = f"{options.model}, one thread. {machine}.\n\n{tables.markdown(rows)}\n"
    if good:
        spread = 100 * (max(good) / min(good) - 1)
        text += f"Cost from one minute on: the dearest is {spread:.0f} % above the cheapest.\n"
    text += starting(runs)
    options.out.mkdir(parents=True, exist_ok=True)
    tables.write_csv(options.out / "growth.csv", rows)
    (options.out / "growth.md").write_text(text)
    draw([row for row in rows if not row["failure"]], options.out / "growth.png")
    print(text)


def starting(runs: list[measure.Run]) -> str:
    """One sentence on the runs of the command with 5 s of speech."""
    if failed := [run for run in runs if run.status]:
        reason = failed[0].errors.strip()[-200:]
        return f"`asr transcribe` failed {len(failed)} times of {len(runs)}: {reason}\n"
    firsts, cpu = sorted(run.first for run in runs), statistics.median(run.cpu for run in runs)
    return (
        f"`asr transcribe` on 5 s of speech: first text {statistics.median(firsts):.2f} s after its start "
        f"({firsts[0]:.2f} to {firsts[-1]:.2f} in {len(runs)} runs), {cpu:.2f} CPU s.\n"
    )


def draw(rows: list[dict], path: Path) -> None:
    if not rows:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    labels = {"CPU s per audio s": "CPU seconds per second of audio", "peak MB": "peak memory, MB"}
    for axes, (key, label) in zip(both, labels.items()):
        axes.plot([row["minutes"] for row in rows], [row[key] for row in rows], "o-", color="tab:red")
        axes.set(xscale="log", ylim=(0, None), xlabel="minutes of audio", ylabel=label)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
