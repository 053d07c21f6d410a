"""Write docs/cli.md, all options of both programs as their --help prints them: python docs/cli.py"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from asr import cli
from asr.cli import CommandParser
from wakeword import cli as wakeword_cli

PAGE = Path(__file__).with_name("cli.md")
TITLE = """# All options

Written by `python docs/cli.py` from the programs' `--help`. With examples: [guide.md](guide.md).
"""


def page() -> str:
    """The whole page, at a width of 100 characters wherever it is written."""
    parsers = [("asr", cli.parser()), ("wakeword", wakeword_cli.parser())]
    return TITLE + "".join(section for name, parser in parsers for section in sections(name, parser))


def sections(name: str, parser: CommandParser) -> Iterator[str]:
    """A section for a command, and one for each command below it."""
    if isinstance(parser, CommandParser):
        parser.load()
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
    yield f"\n## {name}\n\n```text\n{parser.format_help()}```\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, command in action.choices.items():
                yield from sections(f"{name} {below}", command.load())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
