"""The command `wakeword`."""

from __future__ import annotations

import sys

try:
    from asr.cli import CommandParser, command_parser, run
except KeyboardInterrupt:  # too early for `run` to say so
    print("stopped", file=sys.stderr)
    sys.exit(130)

COMMANDS = {  # name: what it does, and what adds its options, imported when the command is chosen
    "train": ("turn a phrase into a detector", "wakeword.cli_train:add_train"),
    "listen": ("wait for a phrase at the microphone", "wakeword.cli_listen:add_listen"),
    "detect": ("find a phrase in audio files", "wakeword.cli_listen:add_detect"),
    "evaluate": ("misses against false alarms an hour", "wakeword.cli_train:add_evaluate"),
    "check": ("how well it hears you, in two minutes", "wakeword.cli_train:add_check"),
    "record": ("collect recordings of a phrase at the microphone", "wakeword.cli_listen:add_record"),
    "export": ("write a detector as ONNX", "wakeword.export:add_export"),
    "voices": ("which synthesisers are installed, and how to get more", "wakeword.cli_train:add_voices"),
}


def parser() -> CommandParser:
    return command_parser("wakeword", "Wake words of your own, without a cloud.", COMMANDS)


def main(arguments: list[str] | None = None) -> int:
    return run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
