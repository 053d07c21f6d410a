"""The texts of the packaged language model, register by register: as they are said, and some of them held out.

    python -m recipes.language_model.prepare TEXTS OLDER --counts counts.tsv --without dev.jsonl --work WORK

TEXTS holds SET.txt, a sentence a line with case and punctuation, and OLDER the older text with its SOURCES.md.
counts.tsv names the files that the sets are made of, in order: set, repository, id, lines, words.
"""

from __future__ import annotations

import argparse
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from asr.commands.terminal import say
from asr.files import atomic_write, each_line
from asr.text import normalise
from recipes.language_model.older_text import manifest_texts, source_lines
from recipes.language_model.spoken import spell

REGISTERS = {
    "books": ("gutenberg", "novels", "eltec"),
    "reference": ("simple-wikipedia", "wikipedia", "economics", "factbook"),
    "talk": (
        "changelog", "meetings", "spaceflight", "white-house", "hansard", "fed-speeches", "presidents",
    ),
    "everyday": ("self-dialogue", "topical-chat", "stories"),
    "requests": (
        "star", "multidogo", "home-requests", "snips", "banking", "bookings", "home-assistant", "disfluent-questions",
    ),
}  # fmt: skip
MANY_FILES = 150  # of a set of as many, whole files are held out: one of so many
HELD_LINES = 100  # of the others, one line of so many
SHORT = 60  # characters; requests as short as that are kept once
BLOCK = 2000  # lines that are taken or left together, where only a share is
Line = tuple[str, bool]  # and whether it is held out


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("texts", type=Path)
    parser.add_argument("older", type=Path)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="manifests, whose texts are left out")
    parser.add_argument(
        "--share", nargs="*", default=[], metavar="REGISTER=SHARE", help="of a register's lines (default: all)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for REGISTER.txt and REGISTER.held.SET.txt")
    args = parser.parse_args()

    unseen = {said(text) for path in args.without for text in manifest_texts(path)} - {""}
    shares = {name: float(share) for name, share in (each.split("=") for each in args.share)}
    args.work.mkdir(parents=True, exist_ok=True)
    files = files_of(args.counts)
    for register, sets in REGISTERS.items():
        if not (args.work / f"{register}.txt").exists():
            sources: dict[str, Iterable[Line]] = {
                name: lines_of(args.texts / f"{name}.txt", files[name]) for name in sets
            }
            sources["older"] = older_lines(args.older, register)
            prepare(register, sources, unseen, shares.get(register, 1.0), args.work)


def said(line: str) -> str:
    """A line as the recogniser writes it, figures in words; "" where it cannot be told how they are said."""
    return normalise(spell(line) or "")


def prepare(register: str, sources: dict[str, Iterable[Line]], unseen: set[str], share: float, work: Path) -> None:
    """Write the register's lines, and those held out by source."""
    once: set[str] = set()
    number = words = 0
    with atomic_write(work / f"{register}.txt") as part, part.open("w", encoding="utf-8") as out:
        for name, lines in sources.items():
            held = []
            for line, is_held in lines:
                number += not is_held
                if not is_held and number // BLOCK % 10 >= 10 * share:
                    continue
                text = said(line)
                if not text or text in unseen or text in once:
                    continue
                if register == "requests" and len(text) < SHORT:
                    once.add(text)
                if is_held:
                    held.append(text)
                else:
                    out.write(text + "\n")
                    words += text.count(" ") + 1
            (work / f"{register}.held.{name}.txt").write_text("".join(f"{text}\n" for text in held), encoding="utf-8")
    say(f"{register}: {words} words")


def files_of(counts: Path) -> dict[str, list[tuple[str, int]]]:
    """Of each set its files in order: id and lines."""
    found: dict[str, list[tuple[str, int]]] = {}
    for line in each_line(str(counts)):
        name, _, file, lines, _ = line.split("\t")
        found.setdefault(name, []).append((file, int(lines)))
    return found


def lines_of(path: Path, files: list[tuple[str, int]]) -> Iterator[Line]:
    """The lines of a set."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        if len(files) < MANY_FILES:
            yield from ((line, held_line(line)) for line in lines)
        else:
            for file, count in files:
                held = int(file[:6], 16) % MANY_FILES == 0
                yield from ((next(lines), held) for _ in range(count))


def older_lines(folder: Path, register: str) -> Iterator[Line]:
    """What the older text adds to a register: books, dialogues, everyday sentences (English of the pairs)."""
    lines: Iterable[str] = ()
    if register == "books":
        lines = each_line(str(folder / "books.txt.xz"))
    elif register == "requests":
        lines = source_lines(folder, "dialogue.txt", share_alike=True)
    elif register == "everyday":
        with lzma.open(folder / "fra-eng.txt.xz", "rt", encoding="utf-8") as file:
            lines = list(dict.fromkeys(line.split("\t")[0] for line in file))
    return ((line, held_line(line)) for line in lines)


def held_line(line: str) -> bool:
    return zlib.crc32(line.encode()) % HELD_LINES == 0


if __name__ == "__main__":
    main()
