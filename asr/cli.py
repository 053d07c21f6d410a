"""The command `asr`; and how it and `wakeword` begin and end: a table of commands, settings, errors as sentences."""

from __future__ import annotations

import sys

try:
    import argparse
    import errno
    import gc
    import io
    import os
    import pkgutil
    import platform
    import re
    import tomllib
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from asr import __version__
    from asr.commands.terminal import fail, own_messages, say
    from asr.errors import Error, UsageError
except KeyboardInterrupt:  # too early for `run` to say so
    print("stopped", file=sys.stderr)
    sys.exit(130)

COMMANDS = {  # name: what it does, and what adds its options, imported when the command is chosen
    "transcribe": ("write what is said in audio files", "asr.commands.transcribe:add_transcribe"),
    "listen": ("write what is said into a microphone", "asr.commands.listen:add_listen"),
    "serve": ("transcribe for other programs: HTTP, WebSocket, Wyoming, a page", "asr.serve.command:add_serve"),
    "train": ("make an acoustic model from recordings and their texts", "asr.commands.train:add_train"),
    "finetune": ("teach a model a voice, a microphone, a vocabulary", "asr.commands.train:add_finetune"),
    "data": ("check a corpus before a model is trained on it", "asr.commands.data:add_data"),
    "score": ("compare transcripts with what was said: error rates, alignments, a test of two systems",
              "asr.commands.score:add_score"),
    "write": ("write words as people do: marks, capitals, figures", "asr.commands.write:add_write"),
    "export": ("write a model as ONNX graphs, for other programs", "asr.commands.export:add_export"),
    "align": ("find when each word of a known text was said", "asr.commands.align:add_align"),
    "say-how": ("show how words will be pronounced", "asr.commands.terminal:add_say_how"),
    "lm": ("train language models, score sentences, make some up", "asr.commands.lm:add_lm"),
    "picture": ("draw what the model hears", "asr.commands.picture:add_picture"),
    "attention": ("spell a recording with the attention decoder, and draw where it looked",
                  "asr.commands.attention:add_attention"),
}  # fmt: skip


def parser() -> CommandParser:
    return command_parser("asr", "Speech recognition without a cloud.", COMMANDS)


def main(arguments: list[str] | None = None) -> int:
    gc.set_threshold(20_000)  # what is loaded makes no garbage, and looking through it again and again takes time
    return run(parser, arguments)


PACKAGES = ("numpy", "onnxruntime", "soundfile", "soxr", "torch")  # that results depend on
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, Any]:
    """The parsers of the commands below a command."""
    tables = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return tables[0] if tables else {}


def with_settings(parser: Any, words: Sequence[str]) -> list[str]:
    """A command line with the options of the settings file behind the command's name, so that those given win.

    The file is TOML: a table for each command, as [transcribe] or [lm.train], with options without their dashes.
    Raises UsageError.
    """
    at = next((i for i, word in enumerate(words) if word in commands_of(parser)), len(words))
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--settings", nargs="?")
    given = asked.parse_known_args(words[:at])[0].settings
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / parser.prog
    path = Path(given) if given else folder / "settings.toml"
    if not given and not path.is_file():
        return list(words)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    if strange := [name for name in table if name not in commands_of(parser)]:
        raise UsageError(f"{path}: there is no command {strange[0]!r}: take one of {', '.join(commands_of(parser))}")
    while at < len(words) and words[at] in commands_of(parser):
        parser, table = commands_of(parser)[words[at]].load(), table.get(words[at], {})
        at += 1
    return [*words[:at], *_as_words(parser, table, path), *words[at:]]


def _as_words(parser: argparse.ArgumentParser, table: Mapping[str, Any], path: Path) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict) and name in commands_of(parser):
            continue
        if f"--{name}" not in parser._option_string_actions:
            raise UsageError(f"{path}: {parser.prog} has no option --{name}: `{parser.prog} --help` lists them")
        for one in value if isinstance(value, list) else [value]:
            if one is not False:
                yield f"--{name}" if one is True else f"--{name}={one}"


def completion(parser: Any, shell: str) -> str:
    """A script that completes commands, options and their choices; other words are completed as names of files."""
    name = parser.prog
    cases, choices = [], []
    for path, command in _below(parser, ()):
        options = [o for o in command._option_string_actions if o.startswith("--")]
        plain = [str(c) for a in command._get_positional_actions() if a.choices for c in a.choices]
        cases.append(f'        "{" ".join(path)} "*) words="{" ".join([*plain, *options])}" ;;')
        for option, action in command._option_string_actions.items():
            if action.choices:
                known = " ".join(map(str, action.choices))
                choices.append(f'        "{" ".join([*path, option])}") words="{known}" ;;')
    zsh = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return f"""{zsh}_{name}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    case "${{COMP_WORDS[*]:1:COMP_CWORD-1}} " in
{chr(10).join(reversed(cases))}
        *) words="{" ".join([*commands_of(parser), *(o for o in parser._option_string_actions if o[:2] == "--")])}" ;;
    esac
    case "${{COMP_WORDS[1]}} $before" in
{chr(10).join(choices)}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _{name} {name}
"""


def _below(parser: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a parser with the words that lead to it, parents first."""
    for name, command in commands_of(parser).items():
        yield (*path, name), command.load()
        yield from _below(command, (*path, name))


class Version(argparse.Action):
    """--version: of the program, and of what its results depend on."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        print(f"{parser.prog} {__version__}\npython {platform.python_version()} on {platform.platform()}")
        for package in PACKAGES:
            try:
                print(package, version(package))
            except PackageNotFoundError:
                print(package, "is not installed")
        models = sorted((Path(__file__).parent / "models").glob("english*.*"))
        print(*(f"model {m.name}, {m.stat().st_size} bytes" for m in models if m.suffix != ".md"), sep="\n")
        parser.exit()


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

    def error(self, message: str):
        """As argparse says it, but for what it says of numbers."""
        for name, what in (("int", "a whole number"), ("float", "a number")):
            message = re.sub(rf"invalid {name} value: (.*)", rf"\1 is not {what}", message)
        super().error(message)

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
    own_messages()
    if sys.stdout is None:
        return fail("standard output is closed: send it to a file, or to /dev/null where it is not wanted")
    if isinstance(sys.stdout, io.TextIOWrapper):  # in an encoding without some letter, "?" stands for it
        sys.stdout.reconfigure(errors="replace")
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


if __name__ == "__main__":
    sys.exit(main())
