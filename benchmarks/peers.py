"""The virtual environment of the peers, made and filled as far as a run needs it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

WHISPER = """
import json, sys
from whisper_normalizer.english import EnglishTextNormalizer
lists, normalise = json.load(open(sys.argv[1])), EnglishTextNormalizer()
json.dump([[normalise(text) for text in texts] for texts in lists], open(sys.argv[2], "w"))
"""
ENVIRONMENT = Path.home() / ".cache" / "asr-benchmarks"


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


def whisper_normalised(lists: list[list[str]], environment: Path) -> list[list[str]]:
    """Lists of equally many texts through Whisper's normaliser; [] where that cannot be had."""
    problem = install(environment, ("whisper-normalizer",))
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "in.json", Path(folder) / "out.json"
        before.write_text(json.dumps(lists))
        problem = problem or tried([str(environment / "bin" / "python"), "-c", WHISPER, str(before), str(after)])
        if problem:
            print(f"no column for Whisper's normaliser: {problem}", file=sys.stderr)
        return [] if problem else json.loads(after.read_text())
