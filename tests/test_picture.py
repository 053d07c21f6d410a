"""`asr picture`: words, spectrogram, outputs and a wake word's score in one picture, of a part of any recording."""

from pathlib import Path

import numpy as np
import pytest

import asr
from asr import audio
from asr.cli import main
from asr.commands import picture

CLIP = str(Path(__file__).parent / "data" / "independence.opus")


def test_all_that_is_heard_is_in_the_picture(tmp_path, capsys):
    assert main(["picture", CLIP, "-o", str(tmp_path / "clip.svg"), "--wake", "jarvis"]) == 0
    drawn = (tmp_path / "clip.svg").read_text()
    assert all(f">{text}<" in drawn for text in ("american", "Hz", "CTC", "jarvis", "h", "s"))
    assert "<image" in drawn and capsys.readouterr().err == ""


def test_times_are_those_of_the_recording(tmp_path):
    samples = picture.part(audio.Recording(CLIP), 1.0, 2.5)
    assert np.array_equal(samples, audio.load(CLIP)[16_000:40_000])
    recognizer = asr.load()
    heard = picture.hear(recognizer, samples, 1.0, phonemes=True, wake=["computer"])
    assert heard.symbols[1:] == recognizer.model.options.phonemes and len(heard.probabilities) == 50
    assert heard.frames.shape == (150, 80) and all(0 <= word.start < word.end <= 1.6 for word in heard.words)
    assert heard.wake[0].times[-1] == pytest.approx(1.4, abs=0.2) and 0 < heard.wake[0].threshold < 1
    picture.draw(heard, tmp_path / "part.png")
    assert (tmp_path / "part.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["-o", "clip.jpg"], "clip.jpg is neither PNG nor SVG"),
        (["-o", "no/such/clip.png"], "there is no folder no/such"),
        (["-o", "clip.png", "--from", "9", "--to", "8"], "up to 120 s"),
        (["-o", "clip.png", "--to", "130"], "up to 120 s"),
        (["-o", "clip.png", "--from", "60"], "nothing to draw from 60 s on"),
        (["-o", "clip.png", "--wake", "nobody"], "no detector called 'nobody'"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["picture", CLIP, *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and sentence in line and list(tmp_path.iterdir()) == []


def test_without_the_packages_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    assert main(["picture", CLIP, "-o", "clip.png"]) == 2
    assert "pip install 'asr[train]'" in capsys.readouterr().err
