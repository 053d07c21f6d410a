"""The options of every command whose text people read: as it is written, or as it was said."""

from __future__ import annotations

import argparse

from asr.written.options import WrittenOptions


def add_writing(p: argparse.ArgumentParser, plain: bool = True) -> None:
    """plain: the text may also stay as it was said."""
    if plain:
        p.add_argument("--plain", action="store_true", help="the words as said: no marks, capitals and figures")
    p.add_argument("--numbers", choices=("always", "large", "never"), default=WrittenOptions.numbers, help="in "
                   "figures: all, those of ten and more or with a unit, or none (default: %(default)s)")  # fmt: skip
    p.add_argument("--dates", choices=("said", "us", "uk"), default=WrittenOptions.dates, help="their order: as said, "
                   '"May 3, 2021", or "3 May 2021" (default: %(default)s)')  # fmt: skip


def written_options(options: argparse.Namespace) -> WrittenOptions | None:
    """None: the text stays as it was said."""
    return None if options.plain else WrittenOptions(options.numbers, options.dates)
