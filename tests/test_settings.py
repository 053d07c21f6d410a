"""A file with defaults for options, completion, and the versions of what matters."""

import shutil
import subprocess

import pytest

from asr import cli
from wakeword import cli as wakeword_cli


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def run(*arguments: object, program=cli) -> tuple[int, str, str]:
        try:
            status = program.main(list(map(str, arguments)))
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return run


def used(monkeypatch) -> list:
    """What `asr transcribe` and `asr lm say` are asked to do."""
    seen = []
    for name in ("transcribe.transcribe", "lm.say_sentences"):
        monkeypatch.setattr(f"asr.commands.{name}", seen.append)
    return seen


def test_defaults_come_from_the_users_file_and_what_is_given_wins(run, monkeypatch, tmp_path):
    seen = used(monkeypatch)
    (tmp_path / "asr").mkdir()
    (tmp_path / "asr/settings.toml").write_text(
        '[transcribe]\nformat = "srt"\nbeam = 64\nquiet = true\nresume = false\n[lm.say]\ncount = 3\n'
    )
    run("transcribe", "a.wav")
    run("transcribe", "--beam", 9, "--format", "json", "a.wav")
    run("lm", "say")
    found = [(o.format, o.beam, o.quiet, o.resume, o.files) for o in seen[:2]]
    assert found == [("srt", 64, True, False, ["a.wav"]), ("json", 9, True, False, ["a.wav"])] and seen[2].count == 3


def test_another_file(run, monkeypatch, tmp_path):
    seen = used(monkeypatch)
    (tmp_path / "mine").write_text("[transcribe]\nbeam = 7\n")
    for words in (["--settings", tmp_path / "mine"], [f"--settings={tmp_path / 'mine'}"], ["--set", tmp_path / "mine"]):
        run(*words, "transcribe", "a.wav")
    assert [options.beam for options in seen] == [7, 7, 7]


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("[transcribe]\nbeem = 7\n", "asr transcribe has no option --beem: `asr transcribe --help` lists them"),
        ("[transscribe]\nbeam = 7\n", "there is no command 'transscribe': take one of transcribe, listen"),
        ("beam", "is no TOML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence(run, tmp_path, content, sentence):
    if content:
        (tmp_path / "mine").write_text(content)
    status, out, err = run("--settings", tmp_path / "mine", "transcribe", "a.wav")
    assert (status, out) == (2, "") and sentence in err and len(err.splitlines()) == 1


def test_a_value_that_is_wrong_is_refused_as_if_it_were_given(run, tmp_path):
    (tmp_path / "mine").write_text("[transcribe]\nbeam = 0\n")
    status, _, err = run("--settings", tmp_path / "mine", "transcribe", "a.wav")
    assert status == 2 and "argument --beam: '0' is not a whole number above 0" in err


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    "typed, completed",
    [
        (["tra"], {"transcribe", "train"}),
        (["lm", ""], {"train", "score", "perplexity", "say", "--help"}),
        (["lm", "train", "--ord"], {"--order"}),
        (["transcribe", "--format", "t"], {"txt", "tsv", "textgrid"}),
        (["transcribe", "--quiet", "--resu"], {"--resume"}),
        (["completion", ""], {"bash", "zsh", "--help"}),
    ],
)
def test_bash_completes_commands_options_and_choices(run, typed, completed):
    status, script, _ = run("completion", "bash")
    words = " ".join(f"'{word}'" for word in ["asr", *typed])
    asked = f"\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _asr; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script + asked], capture_output=True, text=True)
    assert status == 0 and done.stderr == "" and set(done.stdout.split()) == completed


def test_zsh_and_the_other_program(run):
    assert run("completion", "zsh")[1].startswith("autoload -U +X bashcompinit && bashcompinit\n_asr()")
    status, script, _ = run("completion", "bash", program=wakeword_cli)
    assert status == 0 and "complete -o default -F _wakeword wakeword" in script and '"train "*)' in script


def test_versions_of_what_matters(run):
    status, out, _ = run("--version")
    names = [line.split()[0] for line in out.splitlines()]
    assert status == 0 and {"asr", "python", "numpy", "onnxruntime", "torch"} <= set(names)
    assert "model english.safetensors, " in out
