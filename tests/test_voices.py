"""Voices: what all have in common, the programs' command lines, and whichever is installed here."""

import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr.audio.features import SAMPLE_RATE
from wakeword import voices as engines
from wakeword.voices import VOICES, Espeak, Festival, Flite, Kokoro, Program, VoiceError, chosen, listing

LIGHT = [v for v in VOICES if issubclass(v, Program)]  # the others take seconds to load


def test_each_voice_has_a_name_and_says_how_to_get_it():
    assert len({v.name for v in VOICES}) == len(VOICES) >= 5
    assert all(("pip install" in v.how_to_get) or ("apt install" in v.how_to_get) for v in VOICES)
    assert all(isinstance(v.installed(), bool) for v in VOICES)


def test_nothing_is_installed_on_an_empty_path(nothing):
    assert not any(v.installed() for v in VOICES)


@pytest.fixture
def nothing(monkeypatch, tmp_path) -> Path:
    """A machine without any synthesiser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    return tmp_path


def test_without_a_voice_one_sentence_says_what_to_install(nothing):
    with pytest.raises(VoiceError, match="no voice is installed: apt install flite espeak-ng"):
        chosen()
    assert all("missing: " in line for line in listing().splitlines())


def test_voices_are_chosen_by_name(pretended_flite, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert chosen() == chosen(["flite"]) == ("flite",)
    with pytest.raises(VoiceError, match="festival is not installed; to get it: apt install festival"):
        chosen(["flite", "festival"])
    with pytest.raises(VoiceError, match='there is no voice "dalek": choose from kokoro, '):
        chosen(["dalek"])


def test_the_listing_tells_name_pace_and_state(pretended_flite, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    lines = {line.split()[0]: line.split()[1:3] for line in listing().splitlines()}
    assert list(lines) == [v.name for v in VOICES]
    assert lines["flite"] == ["fast", "installed"] and lines["kokoro"] == ["slow", "missing:"]


def test_kokoro_needs_its_packages_and_its_styles(monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not Kokoro.installed()
    styles = tmp_path / ".local/share/asr/kokoro-voices"
    styles.mkdir(parents=True)
    (styles / "af_heart.bin").touch()
    assert Kokoro.installed() and Kokoro.folder() == styles


def test_festival_speaks_with_the_voices_it_has(nothing, monkeypatch):
    (nothing / "text2wave").touch(mode=0o755)
    monkeypatch.setattr(Festival, "FOLDER", nothing)
    assert not Festival.installed()
    (nothing / "english" / "ked_diphone").mkdir(parents=True)
    assert Festival.installed() and Festival.speakers() == ["ked_diphone"]
    line, speaker = Festival().command("out.wav", np.random.default_rng(0))
    assert "(voice_ked_diphone)" in line[2] and speaker == "festival-ked_diphone"


@pytest.fixture
def three_festival_voices(monkeypatch):
    monkeypatch.setattr(Festival, "speakers", classmethod(lambda cls: list(cls.SPEAKERS)))


@pytest.mark.parametrize("voice", [Flite, Festival, Espeak])
def test_command_lines_vary_with_the_seed_only(voice, three_festival_voices):
    lines = [voice().command("out.wav", np.random.default_rng(s)) for s in range(30)]
    again = [voice().command("out.wav", np.random.default_rng(s)) for s in range(30)]
    assert lines == again and len({speaker for _, speaker in lines}) >= 3
    assert len({" ".join(line) for line, _ in lines}) > 25
    for line, speaker in lines:
        assert line[0] == voice.program and "out.wav" in line and speaker.startswith(voice.name)
        assert all(isinstance(word, str) for word in line)


PROGRAM = f"""#!{sys.executable}
import sys, wave
text = sys.stdin.read()
if "fail" in text:
    sys.exit("no voice")
with wave.open(sys.argv[sys.argv.index("-o") + 1], "wb") as out:
    out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
    out.writeframes(b"\\x00\\x20" * 800 * len(text))
"""


@pytest.fixture
def pretended_flite(tmp_path, monkeypatch) -> Path:
    """A flite that speaks each letter for 0.1 s."""
    program = tmp_path / "flite"
    program.write_text(PROGRAM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_a_program_reads_the_text_and_its_wav_is_taken_over(pretended_flite):
    assert Flite.installed()
    samples, speaker = Flite().speak("hello", np.random.default_rng(0))
    bend = float(speaker.rsplit("-", 1)[1])
    assert samples.dtype == np.float32 and len(samples) == pytest.approx(0.5 * SAMPLE_RATE / bend, rel=0.01)
    assert np.median(samples) == pytest.approx(0.25, abs=0.01) and 0.88 <= bend <= 1.15
    again, same = Flite().speak("hello", np.random.default_rng(0))
    assert same == speaker and (again == samples).all()


def test_a_program_that_fails_is_an_error(pretended_flite):
    with pytest.raises(subprocess.CalledProcessError):
        Flite().speak("fail", np.random.default_rng(0))


@pytest.mark.parametrize("voice", LIGHT, ids=lambda v: v.name)
def test_an_installed_program_speaks(voice):
    if not voice.installed():
        pytest.skip(f"needs {voice.name}: {voice.how_to_get}")
    samples, speaker = voice().speak("The cat sat on the mat.", np.random.default_rng(3))
    assert samples.dtype == np.float32 and samples.ndim == 1 and speaker.startswith(voice.name)
    assert 0.7 < len(samples) / SAMPLE_RATE < 5 and 0.01 < np.abs(samples).max() < 1.5
    short, _ = voice().speak("Cat.", np.random.default_rng(3))
    assert len(short) < len(samples)
