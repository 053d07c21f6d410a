"""asr.audio.files: every format, rate and channel count in; one clear sentence for what is no audio."""

import io
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr import audio

RATE = audio.SAMPLE_RATE
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")


def tone(seconds: float, rate: int = RATE, hz: float = 440) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * rate)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """write(name, samples, rate, ...) -> path of a new sound file."""

    def writer(name, samples, rate=RATE, **options):
        path = str(tmp_path / name)
        soundfile.write(path, samples, rate, **options)
        return path

    return writer


def convert(source: str, name: str, *options: str) -> str:
    target = os.path.join(os.path.dirname(source), name)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, *options, target], check=True)
    return target


def cut(path: str, fraction: float) -> str:
    """Keep only the beginning of a file."""
    with open(path, "r+b") as file:
        file.truncate(int(fraction * os.path.getsize(path)))
    return path


def collect(source: str) -> tuple[np.ndarray, str]:
    """All that blocks() gives, and the sentence of the AudioCutOff that follows, if one does."""
    got = [np.zeros(0, np.float32)]
    try:
        got.extend(audio.blocks(source))
    except audio.AudioCutOff as error:
        return np.concatenate(got), str(error)
    return np.concatenate(got), ""


def error_of(source: str) -> str:
    with pytest.raises(audio.AudioError) as caught:
        audio.load(source)
    assert not isinstance(caught.value, audio.AudioCutOff)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between the beginnings of two signals."""
    n = min(len(a), len(b))
    return float(a[:n] @ b[:n] / np.linalg.norm(a[:n]) / np.linalg.norm(b[:n]))


# what can be read


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"])
def test_wav_of_every_kind_keeps_its_samples(write, subtype):
    expected = tone(1.3)
    got = audio.load(write("a.wav", expected, subtype=subtype))
    assert got.dtype == np.float32 and abs(len(got) - len(expected)) < 1024  # ADPCM fills its last block
    assert similarity(got, expected) > 0.999


@pytest.mark.parametrize("suffix", ["aiff", "au", "caf", "w64", "flac", "ogg", "mp3"])
def test_other_formats(write, suffix):
    path = write(f"a.{suffix}", tone(2))
    got, fault = collect(path)
    assert not fault and len(got) == 2 * RATE
    assert similarity(got, tone(2)) > 0.99
    assert audio.duration(path) == pytest.approx(2, abs=0.01)


def test_opus(write):
    got = audio.load(write("a.opus", tone(2, 48_000), 48_000, format="OGG", subtype="OPUS"))
    assert len(got) == 2 * RATE and similarity(got, tone(2)) > 0.99


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate(write, rate):
    got = audio.load(write("a.wav", tone(1.5, rate), rate, subtype="FLOAT"))
    assert abs(len(got) - 1.5 * RATE) <= 1
    middle = slice(800, 23_200)  # the filter rings at a sudden start and end
    assert np.abs(got[middle] - tone(1.5)[middle]).max() < 1e-3


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_averaged(write, channels):
    samples = np.random.default_rng(1).uniform(-1, 1, (20_000, channels)).astype(np.float32)
    got = audio.load(write("a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(got, samples.mean(axis=1), atol=1e-6)


def test_samples_beyond_full_scale_are_kept(write):
    assert np.abs(audio.load(write("a.wav", 9 * tone(0.5), subtype="FLOAT"))).max() > 4.4


@pytest.mark.parametrize("rate", [8_000, 16_000, 192_000])
def test_one_sample(write, rate):
    assert len(audio.load(write("a.wav", np.ones(1, np.float32), rate))) <= 2


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.floats(0.0001, 3), rate=st.sampled_from([8_000, 16_000, 44_100]), length=st.integers(1, 60_000))
def test_the_size_of_blocks_does_not_change_the_samples(write, seconds, rate, length):
    path = write("a.wav", noise(length / rate, rate), rate)
    whole = audio.load(path)
    size = max(1, round(seconds * RATE))
    cuts = list(audio.blocks(path, seconds))
    np.testing.assert_array_equal(np.concatenate([*cuts, np.zeros(0, np.float32)]), whole)
    assert all(len(block) == size for block in cuts[:-1])
    assert all(0 < len(block) <= size for block in cuts[-1:])


def test_a_long_file_is_read_in_blocks_of_bounded_size(write):
    path = write("a.flac", noise(120))
    reader = audio.blocks(path, 2.5)
    assert {len(block) for block in reader} == {int(2.5 * RATE)}


def test_a_reader_may_stop_early(write):
    path = write("a.wav", noise(30))
    assert len(next(audio.blocks(path, 1))) == RATE


# standard input and pipes


class Pipe(io.BytesIO):
    def seekable(self):
        return False


def feed_stdin(monkeypatch, path: str) -> None:
    with open(path, "rb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(file.read())))


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", pytest.param("mp4", marks=needs_ffmpeg)])
def test_standard_input(write, monkeypatch, suffix):
    wav = write("a.wav", tone(2))
    path = convert(wav, f"b.{suffix}") if suffix == "mp4" else write(f"b.{suffix}", tone(2))
    feed_stdin(monkeypatch, path)
    np.testing.assert_array_equal(audio.load("-"), audio.load(path))
    assert audio.duration("-") is None


def test_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe()))
    assert error_of("-") == "standard input is empty"


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_process_substitution(write):
    """As in `asr transcribe <(cat a.flac)`."""
    path = write("a.flac", tone(2))
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as process:
        got = audio.load(f"/dev/fd/{process.stdout.fileno()}")
    np.testing.assert_array_equal(got, audio.load(path))


# through ffmpeg


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mkv", "a.webm", "-a.mov", "a:b.mka"])
def test_other_containers(write, tmp_path, monkeypatch, name):
    """Names that look like an option or an address among them."""
    monkeypatch.chdir(tmp_path)
    path = os.path.basename(convert(write("a.wav", tone(3)), name))
    got = audio.load(path)
    assert abs(len(got) - 3 * RATE) < 0.2 * RATE
    second = got[RATE : 2 * RATE]  # its phase is the codec's business
    assert np.abs(np.fft.rfft(second)).argmax() == 440 and second.std() == pytest.approx(0.5**1.5, rel=0.1)
    assert audio.duration(path) == pytest.approx(3, abs=0.2)


@needs_ffmpeg
def test_times_are_those_of_the_picture(write):
    late = "-itsoffset 2 -i {} -map 0:v -map 1:a -shortest".format(write("a.wav", tone(3))).split()
    video = os.path.join(os.path.dirname(late[3]), "a.mp4")
    picture = ["-f", "lavfi", "-i", "testsrc=d=5:size=64x64:rate=5"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *late, video], check=True)
    got = audio.load(video)
    assert np.abs(got[: int(1.9 * RATE)]).max() < 0.01 and np.abs(got[int(2.1 * RATE) :]).max() > 0.4


@needs_ffmpeg
def test_a_video_without_sound(tmp_path):
    path = str(tmp_path / "a.mp4")
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1", path], check=True)
    assert "is not audio: ffmpeg finds pictures or text" in error_of(path)


@needs_ffmpeg
def test_ffmpeg_ends_when_the_reader_stops(write, monkeypatch):
    started = []
    popen = subprocess.Popen
    path = convert(write("a.wav", noise(60)), "a.mkv")
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    next(audio.blocks(path, 0.1))
    assert "ffmpeg" in [process.args[0] for process in started]
    assert not [process for process in started if process.poll() is None]


@needs_ffmpeg
def test_a_playlist_does_not_reach_into_the_network(tmp_path):
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    assert "Protocol 'http' not on whitelist" in error_of(str(path))


def test_an_ffmpeg_that_breaks_down(tmp_path, monkeypatch):
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nhead -c 64002 /dev/zero\nexit 1\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    (tmp_path / "a.mp4").write_bytes(bytes(1000))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    got, fault = collect(str(tmp_path / "a.mp4"))
    assert len(got) == RATE and "read for 1.0 s only" in fault


def test_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(1000))
    assert error_of(str(path)) == f"{path} is not audio that soundfile can read; for video install ffmpeg"


# what is no audio


def test_a_missing_file():
    assert error_of("no/such.wav") == "no/such.wav cannot be read: No such file or directory"
    assert audio.duration("no/such.wav") is None


def test_a_folder(tmp_path):
    assert error_of(str(tmp_path)).endswith("cannot be read: Is a directory")


def test_a_file_that_may_not_be_read(monkeypatch):
    """Root may read everything, so that the refusal is played."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert error_of("a.wav") == "a.wav cannot be read: Permission denied"


def test_an_empty_file(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert error_of(str(path)) == f"{path} is empty"


def test_text_called_wav(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("this is not sound\n" * 100)
    assert f"{path} is not audio that soundfile" in error_of(str(path))
    assert audio.duration(str(path)) is None


def test_a_header_without_samples(write):
    path = write("a.wav", np.zeros(0, np.float32))
    assert error_of(path) == f"{path} holds no audio"
    assert audio.duration(path) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound(write, bad):
    samples = tone(3)
    samples[40_000] = bad
    path = write("a.wav", samples, subtype="FLOAT")
    got, warning = collect(path)
    assert (
        warning == f"{path}: 1 samples are NaN, infinite or above 100 times full scale: silence is heard in their place"
    )
    assert got[40_000] == 0
    np.testing.assert_array_equal(np.delete(got, 40_000), np.delete(samples, 40_000))


def test_an_absurd_rate(write):
    assert "sample rate of 7 Hz" in error_of(write("a.wav", tone(1), 7))


# what is cut off or damaged


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "w64", "rf64", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_a_cut_file_gives_what_it_holds_and_then_says_so(write, suffix, fraction):
    path = write(f"a.{suffix}", noise(10), format="RF64" if suffix == "rf64" else None)
    whole = audio.load(path)
    got, fault = collect(cut(path, fraction))
    assert f"{path} could be read for" in fault
    # compressed formats lose up to the block that is cut
    assert (fraction - 0.15) * len(whole) < len(got) < (fraction + 0.05) * len(whole)
    same = len(got) - 4096
    np.testing.assert_allclose(got[:same], whole[:same], atol=1e-6)


def test_a_cut_mp3_behind_a_picture(write):
    path = write("a.mp3", noise(10))
    with open(cut(path, 0.5), "rb") as file:
        sound = file.read()
    with open(path, "wb") as file:
        file.write(b"ID3\x04\0\0" + bytes([0, 10, 0, 0]) + bytes(10 << 14) + sound)
    got, fault = collect(path)
    assert "the rest of the file is missing" in fault and 4 * RATE < len(got) < 6 * RATE


def test_a_header_that_is_a_little_wrong_is_forgiven(write):
    path = write("a.wav", tone(1))
    with open(path, "r+b") as file:
        file.seek(40)
        file.write((2 * RATE + 8).to_bytes(4, "little"))
    got, fault = collect(path)
    assert not fault and len(got) == RATE


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cut_video(write, name):
    options = ["-movflags", "+faststart"] if name == "a.mp4" else []
    got, fault = collect(cut(convert(write("a.wav", noise(10)), name, *options), 0.6))
    assert "could be read for" in fault and 4 * RATE < len(got) < 8 * RATE


@needs_ffmpeg
def test_a_cut_video_that_keeps_nothing(write):
    """An ordinary mp4 has its table of contents at the end."""
    assert "is not audio that" in error_of(cut(convert(write("a.wav", noise(10)), "a.mp4"), 0.6))


def test_a_file_cut_within_its_header(write):
    for suffix in ("ogg", "flac", "mp3"):
        assert error_of(cut(write(f"a.{suffix}", noise(5)), 0.002))


def test_garbage_within_a_file(write):
    path = write("a.flac", noise(10))
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(os.urandom(2000))
    got, fault = collect(path)
    assert "it is damaged" in fault and len(got) > (9 * RATE if shutil.which("ffmpeg") else 3 * RATE)


@needs_ffmpeg
@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg"])
def test_a_stream_written_into_a_pipe_is_whole(write, format):
    """Its header cannot know its length; that does not make it cut off."""
    source = write("a.wav", np.concatenate([0 * noise(5), noise(5)]))
    command = ["ffmpeg", "-v", "error", "-i", source, "-f", format]
    command += ["-q:a", "2"] if format == "mp3" else []  # variable rate: the length cannot be guessed
    path = os.path.join(os.path.dirname(source), "b")
    with open(path, "wb") as file:
        file.write(subprocess.run([*command, "-"], capture_output=True, check=True).stdout)
    got, fault = collect(path)
    assert not fault and abs(len(got) - 10 * RATE) < 2000


# find


def test_find_keeps_the_order_and_looks_into_folders(tmp_path):
    for name in ("b/2.MP3", "b/1.wav", "b/c/0.webm", "b/notes.txt", "b/._1.wav", "x.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = audio.find([str(tmp_path / "x.dat"), "-", str(tmp_path / "b")])
    below = [str(tmp_path / "b" / name) for name in ("1.wav", "2.MP3", "c/0.webm")]
    assert found == [str(tmp_path / "x.dat"), "-", *below]


def test_find_reports_what_cannot_be_used_in_its_place(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.wav").touch()
    paths = [str(tmp_path / name) for name in ("missing.wav", "a.wav", "empty")]
    missing, good, empty = audio.find(paths)
    assert good == paths[1]
    assert isinstance(missing, audio.AudioError) and str(missing) == f"{paths[0]} does not exist"
    assert isinstance(empty, audio.AudioError) and str(empty) == f"folder {paths[2]} holds no audio files"


def test_find_reports_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    (error,) = audio.find([str(tmp_path)])
    assert str(error) == f"folder {tmp_path} cannot be read: Permission denied"
