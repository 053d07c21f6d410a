"""Run a command alone, on one thread, and say what it cost; read manifests; describe the machine."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TypeVar

ROOT = Path(__file__).parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
T = TypeVar("T")


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
