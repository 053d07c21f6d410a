"""Run a command alone, on one thread, and say what it cost; read manifests; describe the machine; write tables.

Runs in the environment of the peers, too, which is made here: only the standard library at the top.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, TypeVar

ENVIRONMENT = Path.home() / ".cache" / "asr-benchmarks"
ROOT = Path(__file__).parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
Row = Mapping[str, object]
T = TypeVar("T")


def parser(about: str, manifest: str) -> argparse.ArgumentParser:
    """The options that benchmarks of clips share. manifest: what its lines hold."""
    top = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help=f"JSON lines with {manifest}")
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    return top


@dataclass(frozen=True)
class Run:
    status: int  # exit status; negative: the signal that ended it
    wall: float  # seconds
    cpu: float  # seconds, user + system, all its threads and children
    peak: float  # MB of resident memory; never below what this script itself had taken
    first: float  # seconds from its start to its first line of output
    output: str
    errors: str

    @property
    def failure(self) -> str:
        """What went wrong, in one line; nothing where all went well."""
        last = (self.errors.strip().splitlines() or ["no message"])[-1]
        return f"exit status {self.status}: {last[-200:]}" if self.status else ""


def run(command: list[str], timeout: float = 7200) -> Run:
    """Run to the end, or kill after ``timeout`` seconds."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env=one_thread())
        assert process.stdout
        watchdog = Timer(timeout, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        first = time.perf_counter() - began
        output = line + process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watchdog.cancel()
        errors.seek(0)
        wall = time.perf_counter() - began
        return Run(process.returncode, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, first,
                   output.decode(errors="replace"), errors.read())  # fmt: skip


def one_thread() -> dict[str, str]:
    """The environment of every measured process."""
    return os.environ | {name: "1" for name in THREADS} | {"OMP_WAIT_POLICY": "PASSIVE"}


def command(*arguments: str, model: str) -> list[str]:
    """`asr transcribe` on one thread, by the module, which needs no installation."""
    python = [sys.executable, "-m", "asr.cli", "transcribe"]
    return [*python, "--quiet", "--threads", "1", "--model", model, *arguments]


def engine(name: str, wavs: list[str], model: str, python: str = sys.executable) -> tuple[Run, dict | None]:
    """One engine of benchmarks/engines.py over some files -> cost of the process, its own result or None."""
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        job.write_text(json.dumps({"engine": name, "model": model, "wavs": wavs}))
        done = run([python, "-m", "benchmarks.engines", str(job), str(result)])
        return done, json.loads(result.read_text()) if result.exists() else None


# MB of packages and of all that they require, by the Python that has them
INSTALLED = """
import re, sys
from importlib.metadata import PackageNotFoundError, distribution
names, sizes = sys.argv[1:], {}
while names:
    name = re.match("[A-Za-z0-9._-]+", names.pop())[0].lower().replace("_", "-")
    if name not in sizes:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        paths = [file.locate() for file in found.files or ()]
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        names += [line for line in found.requires or () if "extra ==" not in line]
print(sum(sizes.values()) / 1e6)
"""


def installed(packages: Sequence[str], python: str = sys.executable) -> float:
    """MB on the disk of packages with all that they require; of none of them, our own with what a plain one brings."""
    done = subprocess.run([python, "-c", INSTALLED, *(packages or ["asr"])], capture_output=True, text=True, check=True)
    own = () if packages else (path for room in ("asr", "wakeword") for path in (ROOT / room).rglob("*"))
    files = (path for path in own if path.is_file() and path.suffix != ".pyc")
    return float(done.stdout) + sum(path.stat().st_size for path in files) / 1e6


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes compute beside what is measured."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


def peak(pid: int | str = "self") -> float:
    """MB of memory that a process has taken at most, itself alone; nan where Linux does not tell."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else math.nan


def rows(path: Path) -> list[dict]:
    """The lines of a manifest; ``audio_filepath`` becomes a path from here."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return [row | {"audio_filepath": str(path.parent / row["audio_filepath"])} for row in found]


def spread(items: list[T], limit: int | None) -> list[T]:
    """At most so many, evenly from all of them."""
    count = min(limit or len(items), len(items))
    return [items[i * len(items) // count] for i in range(count)]


def machine() -> str:
    """One line: processor, cores, load when the run began, time."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    model = named[1] if named else platform.machine()
    load = os.getloadavg()[0]
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{model}, {os.cpu_count()} cores, load {load:.1f} at the start, {platform.system()}, {now}"


def install(folder: Path, packages: tuple[str, ...]) -> str:
    """Make the environment, and pip install what it lacks -> "" or what went wrong."""
    packages = ("numpy", *packages)  # for benchmarks.engines itself
    python, names = str(folder / "bin" / "python"), [package.partition("=")[0] for package in packages]
    if not Path(python).exists() and (problem := tried([sys.executable, "-m", "venv", str(folder)])):
        return problem
    if not tried([python, "-c", f"from importlib.metadata import version; list(map(version, {names}))"]):
        return ""
    return tried([python, "-m", "pip", "install", "--quiet", *packages])


def tried(command: list[str]) -> str:
    """Run a command -> "" or its last line of complaint."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    last = (done.stdout.strip().splitlines() or ["failed without a message"])[-1]
    return f"{' '.join(command)}: {last}" if done.returncode else ""


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; text to the left, numbers to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = [all(isinstance(row.get(c, 0), (int, float)) for row in rows) for c in columns]
    lines = [columns, ["--:" if right else "---" for right in numeric]]
    lines += [[cell(row.get(column, "")) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(folder: Path, name: str, rows: Sequence[Row], text: str) -> None:
    """``name``.csv of the rows and ``name``.md of the text, which is printed, too."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{name}.csv", rows)
    (folder / f"{name}.md").write_text(text)
    print(text)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    from wakeword.evaluate import report  # not where peers run

    report.write_csv(path, rows)


def pyplot() -> Any:
    """matplotlib's, for files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def with_intervals(row: dict) -> dict:
    """The columns x, x low and x high become one: "12.3 (10.9 to 13.8)"."""
    row = dict(row)
    for key in [key.removesuffix(" low") for key in row if key.endswith(" low")]:
        row[key] = f"{row[key]:.1f} ({row.pop(f'{key} low'):.1f} to {row.pop(f'{key} high'):.1f})"
    return row


def cell(value: object) -> str:
    """Three significant digits for a float; no bars and no line breaks in text."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).replace("|", "/").split())
