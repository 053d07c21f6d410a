"""The older text (SOURCES.md and its .txt.xz files): which of it may be trained on, and its lines."""

from __future__ import annotations

import lzma
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.commands.terminal import say
from asr.training.data import ManifestError, read_manifest


@dataclass(frozen=True)
class Source:
    name: str
    licence: str
    lines: int
    note: str

    def usable(self, share_alike: bool = False) -> bool:
        """Not a set that others measure on; share-alike only where that is wanted."""
        return "EVALUATION SET" not in self.note and (share_alike or "BY-SA" not in self.licence)


def sources(folder: Path) -> dict[str, list[Source]]:
    """File name -> the sources it is made of, in the order of the file, from the tables of SOURCES.md."""
    found: dict[str, list[Source]] = {}
    for line in (folder / "SOURCES.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\S+\.txt):", line):
            current = found.setdefault(heading[1], [])
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 8 and cells[4].isdigit():
            current.append(Source(cells[0], cells[2], int(cells[4]), cells[7]))
    return found


def source_lines(folder: Path, name: str, share_alike: bool = False) -> Iterator[str]:
    """The lines of the usable sources of a file, which follow each other in it as in the table."""
    parts = sources(folder)[name]
    with lzma.open(folder / f"{name}.xz", "rt", encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")[:-1]
    if sum(p.lines for p in parts) != len(lines) and not all(p.usable(share_alike) for p in parts):
        sys.exit(f"{name} has {len(lines)} lines, not those of SOURCES.md: its sources cannot be told apart")
    start = 0
    for part in parts:
        if part.usable(share_alike):
            yield from lines[start : start + part.lines]
        else:
            say(f"left out: {part.name}, {part.licence} {part.note}")
        start += part.lines


def manifest_texts(path: Path) -> list[str]:
    try:
        return [utterance.text for utterance in read_manifest(path)]
    except ManifestError as error:
        sys.exit(str(error))
