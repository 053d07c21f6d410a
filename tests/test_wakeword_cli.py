"""The command `wakeword`: what it prints, its exit status, one sentence for each bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from loud import save_loud, stream

from wakeword.cli import main
from wakeword.train.build import BuildOptions
from wakeword.train.training import TrainOptions


@pytest.fixture
def boom(tmp_path):
    return str(save_loud(tmp_path / "boom.safetensors"))


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recording.wav"
    soundfile.write(path, np.clip(stream(), -1, 1), 16_000)
    return str(path)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_detect_prints_an_object_a_line(capsys, boom, recording):
    status, out, err = run(capsys, "detect", "--model", boom, "--format", "json", recording, recording)
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and err == "" and len(found) == 4
    assert all(set(d) == {"file", "model", "time", "score"} and d["file"] == recording for d in found)
    assert [round(d["time"]) for d in found] == [2, 4, 2, 4]


def test_a_detector_is_found_without_its_suffix(capsys, boom, recording):
    status, out, _ = run(capsys, "detect", "--model", boom.removesuffix(".safetensors"), recording)
    assert status == 0 and len(out.splitlines()) == 2


def test_detect_goes_on_after_a_bad_file(capsys, tmp_path, boom, recording):
    (tmp_path / "bad.wav").write_text("no audio")
    status, out, err = run(capsys, "detect", "--model", boom, str(tmp_path / "bad.wav"), "missing.wav", recording)
    assert status == 1 and len(out.splitlines()) == 2
    assert len(err.splitlines()) == 2 and "missing.wav does not exist" in err


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["detect", "--model", "nobody", "x.wav"], "no detector called 'nobody'"),
        (["detect", "--model", "BOOM", "--threshold", "1.5", "x.wav"], "between 0 and 1"),
        (["detect", "--model", "BOOM", "--rate", "7", "x.wav"], "only for 0.5"),
        (["train", ""], "the phrase is empty"),
        (["train", "!!"], "the phrase is empty"),
        (["train", " ".join(["word"] * 30)], "at most 6"),
        (["train", "привет"], "no voice here can read"),
        (["train", "bzzzt"], "cannot be pronounced"),
        (["train", "hey", "computer"], 'put the phrase into quotes: wakeword train "hey computer"'),
        (["train", "a"], '"a" is a single letter'),
        (["train", "hey computer", "--seed", "-1"], "--seed must be at least 0"),
        (["train", "hey computer", "--output", "no/such/hey.safetensors"], "there is no folder no/such"),
        (["train", "hey computer", "--pronounce", "hay=hey"], "give a word of the phrase and its spelling"),
        (["evaluate", "--model", "BOOM", "--phrase", "hey you", "x.wav", "--negatives", "x.wav"], "not both"),
        (["detect", "--model", "BOOM", "--model", "nobody", "x.wav"], "no detector called 'nobody'"),
        (["listen", "BOOM", "--model", "nobody"], "no detector called 'nobody'"),
        (["listen", "BOOM", "--run", "echo {text}"], "add --then transcribe"),
        (["listen", ""], "give a detector (a name or a file)"),
        (["detect", "--model", "NO MODEL", "x.wav"], "is no wake-word detector"),
        (["detect", "--model", "BOOM", "--threshold", "nan", "x.wav"], "between 0 and 1"),
        (["train", "hey computer", "--voices", "caruso"], 'no voice "caruso"'),
        (["train", "hey computer", "--rate", "0.7"], "--rate must be one of 0.1, 0.5, 1, 3"),
        (["train", "hey computer", "--clips", "0"], "--clips must be at least 1"),
        (["train", "hey computer", "--positives", "no/such/folder"], "no/such/folder"),
        (["train", "hey computer", "--output", "hey.onnx"], "hey.onnx is no name for a detector"),
        (["train", "hey computer", "--output", "."], "let it end in .safetensors"),
        (["listen", "BOOM", "--rejection", "2"], "for what follows the word: add --then transcribe"),
        (["record", "DIR", "--count", "0"], "--count must be at least 1"),
        (["listen", "BOOM", "--run", ""], "--run needs a command"),
    ],
)
def test_bad_input_gets_one_sentence(capsys, tmp_path, monkeypatch, boom, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "NO MODEL").write_text("no model")
    given = [boom if a == "BOOM" else str(tmp_path / "new") if a == "DIR" else a for a in arguments]
    status, out, err = run(capsys, *given)
    assert status == 2 and out == ""
    assert sentence in err.splitlines()[-1] and err.splitlines()[-1].startswith("error: ")


def test_no_voice_installed(capsys, tmp_path, monkeypatch):
    from wakeword import voices

    monkeypatch.chdir(tmp_path)
    for voice in voices.VOICES:
        monkeypatch.setattr(voice, "installed", classmethod(lambda cls: False))
    status, _, err = run(capsys, "train", "hey computer")
    assert status == 2 and "no voice is installed" in err and "apt install" in err


def test_without_torch_training_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['torch'] = None; from wakeword.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", "hey computer", "--output", str(tmp_path / "hey.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and "to be trained" in lines[0]
    assert "needs torch" in lines[-1] and "pip install" in lines[-1]


def test_a_bug_shows_its_traceback(monkeypatch):
    monkeypatch.setattr("wakeword.voices.listing", lambda: np.zeros(2) + np.zeros(3))
    with pytest.raises(ValueError, match="broadcast"):
        main(["voices"])


def test_voices_are_listed(capsys):
    status, out, _ = run(capsys, "voices")
    assert status == 0 and {"kokoro", "hibari", "piper", "flite", "festival", "espeak"} <= set(out.split())


def test_help(capsys):
    for command in ("train", "listen", "detect", "evaluate", "record", "voices"):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        text = capsys.readouterr().out
        assert stopped.value.code == 0 and len(text) > 100
        if command == "train":
            assert f"(default: {BuildOptions.clips})" in text and f"(default: {TrainOptions.updates})" in text
