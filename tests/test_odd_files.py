"""Files that are joined, cut, of unknown length, or whose channels cancel: all of the sound, or a warning."""

import io
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asr import audio

RATE = audio.SAMPLE_RATE
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")


def tone(seconds: float, hz: float = 440) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * RATE)).astype(np.float32)


def heard(source, **wanted) -> tuple[np.ndarray, audio.Recording]:
    recording = audio.Recording(source, audio.Wanted(**wanted))
    return np.concatenate([np.zeros(0, np.float32), *recording.blocks()]), recording


def ffmpeg(*options: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options], check=True)


# joined


@pytest.mark.parametrize("suffix", ["ogg", "opus", "flac", "wav", "mp3"])
def test_recordings_that_are_joined_are_all_read(tmp_path, suffix):
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    with open(tmp_path / f"both.{suffix}", "wb") as both:
        for number, (seconds, hz) in enumerate([(3, 440), (2, 880)]):
            part = tmp_path / f"{number}.{suffix}"
            soundfile.write(part, tone(seconds, hz), RATE, **kind)
            both.write(part.read_bytes())
    samples, recording = heard(str(tmp_path / f"both.{suffix}"))
    assert not recording.warning and abs(len(samples) - 5 * RATE) < 0.2 * RATE
    for second, hz in [(1, 440), (4, 880)]:
        spectrum = np.abs(np.fft.rfft(samples[second * RATE : second * RATE + RATE // 2]))
        assert spectrum.argmax() == hz // 2


@needs_ffmpeg
@pytest.mark.parametrize("suffix", "mp3 webm mka m4a mov 3gp wma wv tta flv caf aiff au voc".split())
def test_recordings_of_ffmpeg_that_are_joined(tmp_path, suffix):
    soundfile.write(tmp_path / "a.wav", noise(3), RATE)
    options = {"mp3": ["-q:a", "4"], "flv": ["-ar", "44100"], "3gp": ["-c:a", "aac"]}.get(suffix, [])
    ffmpeg("-i", str(tmp_path / "a.wav"), *options, str(tmp_path / f"a.{suffix}"))
    once = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"both.{suffix}").write_bytes(once * 2)
    samples, recording = heard(str(tmp_path / f"both.{suffix}"))
    assert not recording.warning and abs(len(samples) - 6 * RATE) < 0.3 * RATE
    assert np.abs(samples[-RATE:]).max() > 0.1


def wav(*chunks: tuple[bytes, bytes], riff: int | None = None) -> bytes:
    kind = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVE" + b"".join(n + struct.pack("<I", len(d)) + d for n, d in [(b"fmt ", kind), *chunks])
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def pcm(samples: np.ndarray) -> bytes:
    return (32767 * samples).astype("<i2").tobytes()


def test_a_wav_with_two_chunks_of_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav((b"data", pcm(tone(1))), (b"LIST", b"INFOxxxx"), (b"data", pcm(tone(2)))))
    samples, recording = heard(str(path))
    assert not recording.warning and len(samples) == 3 * RATE


# of unknown length


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0x7FFFFFFF - 36, 0x80000000 - 36 + 36, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path, size):
    """As `arecord` without -d and programs that write into a pipe leave it."""
    whole = bytearray(wav((b"data", pcm(tone(2)))))
    struct.pack_into("<I", whole, 40, size)
    struct.pack_into("<I", whole, 4, min(size + 36, 0xFFFFFFFF))
    (tmp_path / "a.wav").write_bytes(whole)
    samples, recording = heard(str(tmp_path / "a.wav"))
    assert not recording.warning and len(samples) == 2 * RATE


def test_a_wav_without_samples_stays_empty(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav((b"data", b""), (b"LIST", b"INFOxxxx")))
    with pytest.raises(audio.AudioError, match="holds no audio"):
        heard(str(tmp_path / "a.wav"))


# channels and tracks


def test_channels_that_cancel_are_heard_all_the_same(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.stack([noise(2), -noise(2)], 1), RATE, subtype="FLOAT")
    samples, recording = heard(path)
    np.testing.assert_allclose(samples, noise(2), atol=1e-6)
    assert recording.notes == [f"{path}: its channels cancel out, so one is heard: --channel N takes another"]


def test_one_channel_is_heard_where_it_is_asked_for(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.stack([noise(1), noise(1, 1)], 1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(heard(path, channel=2)[0], noise(1, 1), atol=1e-6)
    with pytest.raises(audio.AudioError, match="a.wav has no channel 3, only 2"):
        heard(path, channel=3)


@pytest.mark.parametrize("channels", [2, 4, 8])
def test_a_single_channel_that_speaks_is_no_reason_to_choose(tmp_path, channels):
    path = str(tmp_path / "a.wav")
    samples = np.zeros((RATE, channels), np.float32)
    samples[:, 1] = noise(1)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    got, recording = heard(path)
    assert not recording.notes
    np.testing.assert_allclose(got, noise(1) / channels, atol=1e-6)


@needs_ffmpeg
def test_a_first_track_that_is_silent_is_passed_over(tmp_path):
    soundfile.write(tmp_path / "silent.wav", 0 * noise(3), RATE)
    soundfile.write(tmp_path / "loud.wav", noise(3), RATE)
    path = str(tmp_path / "a.mkv")
    ffmpeg("-i", str(tmp_path / "silent.wav"), "-i", str(tmp_path / "loud.wav"), "-map", "0", "-map", "1", path)
    samples, recording = heard(path)
    assert np.abs(samples).max() > 0.1 and recording.notes == [
        f"{path}: track 2 of 2 is heard; --track N takes another"
    ]
    assert np.abs(heard(path, track=1)[0]).max() < 0.01
    with pytest.raises(audio.AudioError, match="no sound track 3, only 2"):
        heard(path, track=3)
    with pytest.raises(audio.AudioError, match="loud.wav has no sound track 2, only 1"):
        heard(str(tmp_path / "loud.wav"), track=2)


# cut off


@needs_ffmpeg
@pytest.mark.parametrize("name", "m4a mov 3gp webm mka caf wma wv tta oga avi voc".split())
def test_a_file_that_breaks_off_is_told(tmp_path, name):
    path = str(tmp_path / f"a.{name}")
    soundfile.write(tmp_path / "a.wav", noise(10), RATE)
    options = ["-movflags", "faststart", "-c:a", "aac"] if name in ("m4a", "mov", "3gp") else []
    options = ["-c:a", "flac"] if name == "oga" else options
    ffmpeg("-i", str(tmp_path / "a.wav"), *options, path)
    samples, recording = heard(path)
    assert not recording.warning and abs(len(samples) - 10 * RATE) < 0.2 * RATE
    os.truncate(path, os.path.getsize(path) * 6 // 10)
    samples, recording = heard(path)
    assert "could be read for" in recording.warning and 3.5 * RATE < len(samples) < 8 * RATE


@pytest.mark.parametrize("kind", ["NIST", "AIFF", "AU", "W64", "RF64", "VOC"])
def test_a_file_of_libsndfile_that_breaks_off_is_told(tmp_path, kind):
    path = str(tmp_path / "a")
    soundfile.write(path, noise(4), RATE, format=kind, subtype="PCM_16")
    assert not heard(path)[1].warning
    os.truncate(path, os.path.getsize(path) // 2)
    samples, recording = heard(path)
    assert "could be read for" in recording.warning and abs(len(samples) - 2 * RATE) < 0.1 * RATE


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_what_follows_damage_is_heard(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(10), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    samples, recording = heard(str(path))
    assert "it is damaged" in recording.warning and abs(len(samples) - 10 * RATE) < 1.5 * RATE
    assert np.abs(samples[-RATE:]).max() > 0.1


def test_codecs_do_not_chatter(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise(10), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = b"\x55" * 500
    path.write_bytes(data[:-500])
    done = subprocess.run(
        [sys.executable, "-m", "asr.cli", "transcribe", "--quiet", str(path)], capture_output=True, text=True
    )
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())


@needs_ffmpeg
def test_sound_that_ends_before_the_picture_is_whole(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(2), RATE)
    picture = ["-f", "lavfi", "-i", "testsrc=d=6:size=64x64:rate=5"]
    for name in ("a.mp4", "a.mkv"):
        ffmpeg(*picture, "-i", str(tmp_path / "a.wav"), str(tmp_path / name))
        assert not heard(str(tmp_path / name))[1].warning


@needs_ffmpeg
def test_pictures_without_sound_are_told(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:size=64x64:rate=5", str(tmp_path / "a.mp4"))
    with pytest.raises(audio.AudioError, match="a.mp4 is not audio: ffmpeg finds pictures or text"):
        heard(str(tmp_path / "a.mp4"))


# other doors


def test_raw_samples(tmp_path):
    path = str(tmp_path / "a.raw")
    for width, dtype, scale in [(1, np.uint8, 128), (2, "<i2", 32768), (4, "<i4", 2**31)]:
        samples = np.stack([tone(1), tone(1)], 1) * (scale - 1) + (128 if width == 1 else 0)
        (tmp_path / "a.raw").write_bytes(samples.astype(dtype).tobytes())
        recording = audio.Recording(path, raw=(RATE, width, 2))
        np.testing.assert_allclose(np.concatenate(list(recording.blocks())), tone(1), atol=0.02)


def test_bytes_and_open_files(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(1), RATE)
    data = (tmp_path / "a.flac").read_bytes()
    for source in (data, bytearray(data), io.BytesIO(data), open(tmp_path / "a.flac", "rb"), tmp_path / "a.flac"):
        got = np.concatenate(list(audio.recording(source).blocks()))
        np.testing.assert_array_equal(got, audio.load(str(tmp_path / "a.flac")))
        if hasattr(source, "seek"):
            source.close()


def test_arrays_are_scaled_mixed_and_resampled():
    whole = (tone(1) * 32767).astype(np.int16)
    for samples in (tone(1), whole, np.stack([whole, whole], 1), tone(1).astype(np.float64), tone(1).tolist()):
        got = np.concatenate(list(audio.recording(samples).blocks()))
        np.testing.assert_allclose(got, tone(1), atol=1e-3)
    assert len(np.concatenate(list(audio.recording(tone(1), rate=8_000).blocks()))) == 2 * RATE


@pytest.mark.parametrize("thing", [None, 3, {"a": 1}, object(), ["talk.wav"], np.zeros((2, 2, 2))])
def test_what_is_no_audio_is_named_by_its_type(thing):
    with pytest.raises(audio.AudioError, match=type(thing).__name__):
        list(audio.recording(thing).blocks())


def test_an_array_that_lies_on_its_side_is_refused():
    with pytest.raises(audio.AudioError, match="its transpose"):
        audio.recording(np.zeros((2, RATE), np.float32))
    for empty in ([], np.zeros(0), np.zeros((0, 2))):
        with pytest.raises(audio.AudioError, match="holds no audio"):
            list(audio.recording(empty).blocks())


@pytest.mark.parametrize("rate", [0, -1, 44_100.5, 10**9, float("nan"), float("inf"), "16000", None])
def test_a_rate_that_there_is_not_is_refused(rate):
    with pytest.raises(audio.AudioError, match="the rate must be a whole number"):
        audio.recording(tone(1), rate)


def test_a_file_that_is_open_as_text_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with open(tmp_path / "a.wav", encoding="utf-8") as file, pytest.raises(audio.AudioError, match="mode 'rb'"):
        audio.recording(file)
