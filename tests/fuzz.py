"""Damaged files and messages for every reader: a result, or the exception that its docstring promises, in one sentence.

python tests/fuzz.py --minutes 10 [--only audio arpa] [--keep FOLDER]

Each reader runs in a process of its own, where a crash, a hang and memory without bounds are told, too. What was found
is kept with its input; exit status 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from readers import READERS, Reader

FORK = multiprocessing.get_context("fork")  # a process for each fault must not import everything again
HANG = 60.0  # s without an answer to one input
ROOM = 3 << 30  # bytes of address space that a reader may take beyond what its process has
ODD = [b"nan", b"-1", b"1e999", b"0", b"99999999999999999999", b"\x00", b"\xff", b"\n", b"\xe2\x80\xa8", b"[" * 9_999]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A copy with one to four things done to it."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _damage(found, rng)
    return bytes(found)


def _damage(data: bytearray, rng: random.Random) -> None:
    beginning = rng.random() < 0.5  # headers are where it hurts
    at = rng.randrange(min(len(data), 200) if beginning else len(data)) if data else 0
    length = rng.choice((1, 2, 4, 8, rng.randint(1, 1 + len(data) // 4)))
    match rng.randrange(7):
        case 0:
            del data[at:]
        case 1 if data:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            data[at : at + length] = rng.randbytes(length)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
        case 5:
            data[at : at + length] = rng.choice((b"\x00", b"\xff", b"\x7f")) * length
        case _:
            numbers = [m.span() for m in re.finditer(rb"-?\d+(\.\d+)?", data)] or [(at, at + 1)]
            data[slice(*rng.choice(numbers))] = rng.choice(ODD)


def fault(reader: Reader, path: Path) -> str:
    """What is wrong with how the reader takes this input; nothing if it answers, or refuses in a sentence."""
    try:
        reader.read(path)
    except reader.errors as error:
        text = str(error)
        return "" if text.strip() and "\n" not in text else f"{type(error).__name__} is no sentence: {text!r}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"[:300]
    return ""


def inputs(reader: Reader, seed: int, folder: Path) -> Iterator[Path]:
    """Damaged inputs without end, each written over the one before."""
    rng, whole = random.Random(seed), list(reader.inputs().items())
    while True:
        suffix, data = rng.choice(whole)
        path = folder / f"input{suffix}"
        path.write_bytes(damaged(data, rng))
        yield path


def _work(name: str, seed: int, folder: Path, pipe: Connection) -> None:
    """In a process of its own: tell the path before each input, what is wrong after it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # codecs complain there
    status = Path("/proc/self/statm")
    if status.exists():
        limit = int(status.read_text().split()[0]) * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in inputs(READERS[name], seed, folder):
        pipe.send(str(path))
        pipe.send(fault(READERS[name], path))


def fuzz(name: str, seed: int, until: float, keep: Path) -> tuple[int, int]:
    """Until that time -> how many inputs there were, and how many faults; of each kind the first is kept."""
    tried = 0
    faults: set[str] = set()
    while time.time() < until:
        with TemporaryDirectory() as folder:
            here, there = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_work, args=(name, seed + tried, Path(folder), there))
            process.start()
            there.close()
            path, wrong = "", ""
            while not wrong and time.time() < until:
                path, wrong = _answer(here, process)
                tried += 1
                if wrong and wrong.split(": ")[0] not in faults:
                    faults.add(wrong.split(": ")[0])
                    kept = _keep(path, name, len(faults), keep)
                    print(f"{name}: {wrong}\n    {kept}", flush=True)
            process.kill()
            process.join()
    return tried, len(faults)


def _answer(pipe: Connection, process: BaseProcess) -> tuple[str, str]:
    """The next input, and what is wrong with what came of it."""
    path = ""
    try:
        for _ in range(2):
            if not pipe.poll(HANG):
                return path, f"no answer within {HANG:.0f} s"
            text = pipe.recv()
            path, wrong = path or text, text
        return path, wrong
    except EOFError:
        process.join()
        return path, f"the process ended with {process.exitcode}"


def _keep(path: str, name: str, number: int, keep: Path) -> Path | str:
    if not Path(path).is_file():
        return "before its first input"
    keep.mkdir(parents=True, exist_ok=True)
    target = keep / f"{name.replace(' ', '-')}-{number}{Path(path).suffix}"
    target.write_bytes(Path(path).read_bytes())
    return target


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=5.0, help="for all readers together (default: 5)")
    p.add_argument("--only", nargs="+", choices=READERS, default=list(READERS), metavar="NAME", help=", ".join(READERS))
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--keep", type=Path, default=Path("build/fuzz"), metavar="FOLDER", help="for what showed a fault")
    options = p.parse_args()
    share, total = 60 * options.minutes / len(options.only), 0
    for name in options.only:
        tried, faults = fuzz(name, options.seed, time.time() + share, options.keep)
        print(f"{name}: {tried} inputs, {faults} faults (seed {options.seed})", flush=True)
        total += faults
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
