"""What shells and users add to the commands: completion from the parsers, and a file with defaults for options."""

from __future__ import annotations

import argparse
import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr import __version__
from asr.errors import UsageError

PACKAGES = ("numpy", "onnxruntime", "soundfile", "soxr", "torch")  # that results depend on


def settings_file(program: str) -> Path:
    """Where defaults are looked for."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / program / "settings.toml"


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
    given = words[words.index("--settings") + 1] if "--settings" in words[: max(0, at - 1)] else None
    path = Path(given) if given else settings_file(parser.prog)
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
        cases.append(f'        "{" ".join(path)} "*) words="{" ".join([*commands_of(command), *options])}" ;;')
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
        models = sorted((Path(__file__).parent.parent / "models").glob("english*.*"))
        print(*(f"model {m.name}, {m.stat().st_size} bytes" for m in models if m.suffix != ".md"), sep="\n")
        parser.exit()
