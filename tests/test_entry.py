"""How the commands begin and end: what is imported, sentences instead of tracebacks, exit statuses."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr import cli
from asr.errors import Error
from wakeword import cli as wakeword_cli

CLIP = Path(__file__).parent / "data" / "doctorate.opus"
PROGRAMS = {"asr": cli, "wakeword": wakeword_cli}


def python(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)


def shell(line: str) -> subprocess.CompletedProcess:
    line = line.replace("asr ", f"{sys.executable} -m asr.cli ", 1)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_imports_no_command(program):
    done = python(
        f"import sys; from {program}.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*[m for m in sys.modules if m.startswith(('asr', 'wakeword', 'numpy', 'torch'))])"
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert imported <= set("asr asr.cli asr.commands asr.commands.terminal asr.errors wakeword wakeword.cli".split())


def test_the_help_of_a_command_imports_that_command_only():
    done = python(
        "import sys; from asr.cli import main\n"
        "try: main(['transcribe', '--help'])\n"
        "except SystemExit: print(*[m for m in sys.modules if m.startswith(('asr.', 'torch'))])"
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "asr.commands.transcribe" in imported
    others = {"align", "attention", "data", "export", "finetune", "listen", "lm", "score", "train"}
    assert not imported & {*(f"asr.commands.{name}" for name in others), "asr.serve.command", "torch"}


def test_a_clip_crosses_few_files():
    """What is transcribed for the first time is found in 35 files, those that only say what a folder is not counted."""
    done = python(
        f"import sys; from asr.cli import main; main(['transcribe', {str(CLIP)!r}])\n"
        "files = {str(getattr(m, '__file__', '')) for name, m in sys.modules.items() if name.split('.')[0] == 'asr'}\n"
        "print(*sorted(f for f in files if f.endswith('.py') and not f.endswith('__init__.py')))"
    )
    text, files = done.stdout.splitlines()
    assert text.startswith("I have") and "asr/search/words.py" in files and len(files.split()) <= 35


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_has_help_and_a_function(program, capsys):
    module = PROGRAMS[program]
    for name, (purpose, _) in module.COMMANDS.items():
        with pytest.raises(SystemExit) as stopped:
            module.main([name, "--help"])
        assert stopped.value.code == 0 and f"usage: {program} {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "raised, status, said",
    [
        (Error("no such model: take another"), 2, "error: no such model: take another\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.wav"), 2, "error: a.wav: Permission denied\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "m.npz"),
            2,
            "error: m.npz: No space left on device; what was saved before is whole: make room and start again\n",
        ),
        (
            ModuleNotFoundError("no torch", name="torch"),
            2,
            "error: this needs torch, which is not installed: pip install 'asr[train]'\n",
        ),
    ],
)
@pytest.mark.parametrize("program, command", [("asr", "lm say"), ("wakeword", "voices")])
def test_what_the_user_can_set_right_is_one_sentence(capsys, monkeypatch, program, command, raised, status, said):
    def fails(*_):
        raise raised

    monkeypatch.setattr("asr.commands.lm.open_language", fails)
    monkeypatch.setattr("wakeword.voices.listing", fails)
    assert PROGRAMS[program].main(command.split()) == status
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("bug", [ValueError("a bug"), OSError("without a number"), ModuleNotFoundError(name="numpi")])
def test_a_bug_is_shown_whole(monkeypatch, bug):
    def fails(*_):
        raise bug

    monkeypatch.setattr("asr.commands.lm.open_language", fails)
    with pytest.raises(type(bug)):
        cli.main(["lm", "say"])


def test_a_module_that_is_missing_while_a_command_is_imported(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(wakeword_cli.COMMANDS, "voices", ("", "torch:Module"))
    assert wakeword_cli.main(["voices"]) == 2
    assert capsys.readouterr().err == "error: this needs torch, which is not installed: pip install 'asr[train]'\n"


def test_a_reader_that_has_gone_is_no_trouble():
    for command in ("--help", "lm say --count 3000 --words 3 --model english-lm"):
        done = shell(f"set -o pipefail; asr {command} | head -c 1")
        assert done.returncode in (0, 1) and done.stderr == "" and len(done.stdout) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_standard_output_that_is_full():
    for command in ("--help", "lm say --count 3"):
        done = shell(f"asr {command} > /dev/full")
        assert done.returncode == 1
        assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_standard_output_that_lacks_letters():
    done = shell("echo 'привет twenty' | PYTHONIOENCODING=latin1 asr write -")
    assert (done.returncode, done.stdout, done.stderr) == (0, "?????? 20.\n", "")


def test_standard_output_or_error_that_is_closed():
    done = shell("asr lm say >&-")
    assert done.returncode == 2 and done.stderr.startswith("error: standard output is closed: ")
    done = shell("asr lm say --model nothing 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_ctrl_c_during_the_imports():
    """The module of the command stops the process as a user would while it is imported."""
    done = python(
        "import os, signal, sys; from asr import cli\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'asr.commands.lm': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "sys.exit(cli.main(['lm', 'say']))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_before_the_program_is_there(program):
    done = python(
        "import os, signal, sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'asr.commands.terminal': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        f"import {program}.cli"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_numbers_that_are_none_are_told_in_plain_words(capsys):
    for arguments, said in ((["serve", "--port", "x"], "'x' is not a whole number"),
                            (["listen", "--silence", "x"], "'x' is not a number")):  # fmt: skip
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert said in capsys.readouterr().err


def test_ctrl_c_while_a_command_works():
    command = [sys.executable, "-m", "asr.cli", "lm", "say", "--count", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n")
