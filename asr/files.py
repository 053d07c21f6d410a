"""Files that appear whole or not at all; sentences, one a line, from text files and standard input."""

from __future__ import annotations

import lzma
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from asr.errors import Error, UsageError
from asr.text import normalise

STDIN = "-"
UNUSABLE = "no line can be trained on: all hold digits or no letters a to z; --raw takes text as it is"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """What to write instead, beside the file: it takes the file's place at the end, if nothing goes wrong."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    with atomic_write(path) as partial:
        partial.write_bytes(data)


def read_text(path: str | Path, fails: type[Error] = UsageError) -> str:
    """A whole text file, or standard input (-). Raises the error, of one sentence."""
    try:
        data = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise fails(f"cannot read {_name(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise fails(f"{_name(path)} is not UTF-8 text: convert it, for example with iconv") from None


def _name(path: str | Path) -> str:
    return "standard input" if path == STDIN else str(path)


def each_line(path: str) -> Iterator[str]:
    """The lines of a file or of standard input (-) that are not empty, stripped, as they come. Raises UsageError."""
    found = False
    for line in whole_lines(path):
        if text := line.strip():
            found = True
            yield text
    if not found:
        raise UsageError(f"{_name(path)} holds no text: give sentences, one a line")


def whole_lines(path: str) -> Iterator[str]:
    """The lines of a file or of standard input (-), each with its end, as they are read. Raises UsageError."""
    name, number = _name(path), 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None
    except (lzma.LZMAError, EOFError):
        raise UsageError(f"{name} is cut off or no xz file: compress it again") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}, line {number}, is not UTF-8 text: convert it, for example with iconv") from None


def _opened(path: str) -> AbstractContextManager[Iterable[bytes]]:
    if path == STDIN:
        return nullcontext(sys.stdin.buffer)
    return lzma.open(path) if path.endswith(".xz") else open(path, "rb")


def read_lines(path: str) -> list[str]:
    """As ``each_line``, all at once. Raises UsageError."""
    return list(each_line(path))


def numbered_lines(path: Path | str, what: str) -> list[tuple[int, str]]:
    """The lines that are not empty, as they stand, with their numbers; what: they should be. Raises UsageError."""
    lines = [(n, line.removesuffix("\n")) for n, line in enumerate(whole_lines(str(path)), start=1) if line.strip()]
    if not lines:
        raise UsageError(f"{_name(path)} holds no text: give {what}, one a line")
    return lines


def as_spoken(line: str) -> str:
    """A line to train on, as the recogniser writes it; "" of one with digits: how are they said?"""
    return "" if any(c.isdigit() for c in line) else normalise(line.replace("&", " and "))


def spoken(lines: Iterable[str]) -> list[str]:
    """The lines that can be trained on, `as_spoken`. Raises UsageError where there are none."""
    found = [text for line in lines if (text := as_spoken(line))]
    if not found:
        raise UsageError(UNUSABLE)
    return found
