"""How the commands `asr` and `wakeword` begin and end: a table of commands, errors as sentences, exit statuses."""

from __future__ import annotations

import argparse
import errno
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence

from asr.commands.settings import Version, completion, with_settings
from asr.commands.terminal import fail, say
from asr.errors import Error

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CommandParser(argparse.ArgumentParser):
    """The parser of a command, which imports the command's module when it is asked to parse."""

    options_from = ""  # "module:function"; the function adds the options

    def load(self) -> CommandParser:
        """With its options -> itself."""
        if self.options_from:
            name, self.options_from = self.options_from, ""
            pkgutil.resolve_name(name)(self)
        return self

    def parse_known_args(self, *given, **named):
        return super(CommandParser, self.load()).parse_known_args(*given, **named)

    def _print_message(self, message, file=None):
        (file or sys.stderr).write(message or "")  # argparse itself would say nothing of an output that is full


def command_parser(program: str, purpose: str, commands: Mapping[str, tuple[str, str]]) -> CommandParser:
    """commands: name -> what it does, and "module:function" that adds its options."""
    top = CommandParser(prog=program, description=purpose)
    top.add_argument("--version", action=Version, nargs=0, help="and those of what results depend on")
    top.add_argument(
        "--settings",
        metavar="FILE",
        help="TOML with defaults, as beam = 64 below [transcribe] (default: ~/.config/%(prog)s/settings.toml)",
    )
    table = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (what, options_from) in commands.items():
        table.add_parser(name, help=what).options_from = options_from
    complete = table.add_parser("completion", help="write what lets bash or zsh complete commands and options")
    complete.add_argument("shell", choices=("bash", "zsh"))
    complete.description = f'For bash: eval "$({program} completion bash)" in ~/.bashrc; for zsh likewise in ~/.zshrc.'
    complete.set_defaults(command=lambda options: print(completion(top, options.shell)))
    return top


def run(parser: Callable[[], CommandParser], arguments: Sequence[str] | None) -> int:
    """The command that the arguments (None: those of the process) name -> the exit status.

    0 all well, 1 some input failed or output could not be written, 2 nothing could start, 130 stopped by the user.
    Every asr.errors.Error is one sentence; so is what the system refuses. Anything else shows its traceback.
    """
    if sys.stderr is None:  # closed; print() would write what is meant for it to standard output
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        return fail("standard output is closed: send it to a file, or to /dev/null where it is not wanted")
    try:
        try:
            top = parser()
            options = top.parse_args(with_settings(top, sys.argv[1:] if arguments is None else arguments))
            return (vars(options).get("command") or options.run)(options) or 0
        finally:
            sys.stdout.flush()
    except Error as error:
        return fail(str(error))
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        _discard_output()
        return 1
    except OSError as error:
        if not error.errno:
            raise
        return _refused(error)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torch":
            raise
        return fail("this needs torch, which is not installed: pip install 'asr[train]'")


def _refused(error: OSError) -> int:
    """Say what the system does not allow, with the name of the file where it is known."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
        say(f"error: standard output cannot be written: {error.strerror}")
        return 1
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    advice = "; what was saved before is whole: make room and start again" * (error.errno in NO_ROOM)
    return fail(what + advice)


def _discard_output() -> None:
    """So that the interpreter does not complain, when it ends, that it cannot write the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
