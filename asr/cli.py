"""The command `asr`."""

from __future__ import annotations

import argparse
import os
import sys

from asr import __version__
from asr.listen import add_listen
from asr.terminal import say
from asr.transcribe import add_transcribe

COMMANDS = {  # name: what it does, and what adds its options; their modules import torch only when they run
    "transcribe": ("write what is said in audio files", add_transcribe),
    "listen": ("write what is said into a microphone", add_listen),
}


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="asr", description="Speech recognition without a cloud.")
    top.add_argument("--version", action="version", version=f"asr {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (purpose, add_options) in COMMANDS.items():
        add_options(commands.add_parser(name, help=purpose))
    return top


if __name__ == "__main__":
    sys.exit(main())
