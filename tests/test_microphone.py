"""The microphone on a made-up PortAudio: devices, rates, mishaps; test_microphone_live.py has the real one."""

import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import microphone
from asr.audio.microphone import Microphone, MicrophoneError, MicrophoneOptions, choose, devices

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (96_000, 2)).astype(np.float32)


class PortAudioError(Exception):
    pass


class PortAudio:
    """The part of the module sounddevice that is used; ``plugged`` is seen after the next start, as it really is."""

    PortAudioError = PortAudioError

    def __init__(self, *inputs: tuple, default: int = 0):
        self.plugged, self.default, self.failure, self.streams, self.stereo_only = inputs, default, None, [], False
        self._initialize()

    def _initialize(self):
        self.seen = self.plugged

    def _terminate(self):
        self.seen = ()

    def query_hostapis(self):
        return ({"name": "ALSA"}, {"name": "MME"})

    def query_devices(self, kind=None):
        made = [
            {"index": i, "name": n, "max_input_channels": c, "default_samplerate": r, "hostapi": len(api)}
            for i, (n, c, r, *api) in enumerate(self.seen)
        ]
        if kind is None:
            return made
        if not 0 <= self.default < len(made):
            raise PortAudioError("Error querying device -1")
        return made[self.default]

    def InputStream(self, *arguments, callback):
        if self.failure:
            raise PortAudioError(*self.failure)
        if self.stereo_only and arguments[3] == 1:
            raise PortAudioError("Invalid number of channels", -9998)
        self.streams.append(Stream(*arguments, callback))
        return self.streams[-1]


class Stream:
    def __init__(self, rate, size, number, channels, dtype, latency, callback):
        self.rate, self.size, self.number, self.channels, self.callback = rate, size, number, channels, callback
        self.active, self.closed = False, False

    def start(self):
        self.active = True

    def close(self):
        self.active, self.closed = False, True

    def hear(self, samples: np.ndarray, overflow: bool = False):
        """Samples (n, channels) as PortAudio's thread hands them over: in a buffer that it uses again."""
        for piece in np.split(samples, range(self.size, len(samples), self.size)):
            buffer = piece.copy()
            self.callback(buffer, len(buffer), None, SimpleNamespace(input_overflow=overflow))
            buffer[:] = 9.0


@contextmanager
def opened(sd: PortAudio, said: list | None = None, **options):
    with patch.dict(sys.modules, sounddevice=sd):
        with Microphone(MicrophoneOptions(**options), (said if said is not None else []).append) as opened:
            yield opened


def rest(microphone: Microphone) -> np.ndarray:
    """All that has been heard: stop, then read to the end."""
    microphone.stop()
    return np.concatenate([np.zeros(0, np.float32), *microphone])


USB = ("USB Audio: Mic (hw:1,0)", 2, 48_000.0)
LAPTOP = ("HDA Intel: Analog (hw:0,0)", 2, 44_100.0)
SPEAKER = ("Speaker", 0, 48_000.0)


# --- which device ----------------------------------------------------------------------------------


@pytest.fixture
def found():
    with patch.dict(sys.modules, sounddevice=PortAudio(LAPTOP, SPEAKER, USB, ("USB", 1, 16_000.0), default=2)):
        return devices()


def test_only_inputs_are_listed(found):
    assert [d.number for d in found] == [0, 2, 3]
    assert str(found[1]) == "2: USB Audio: Mic (hw:1,0) (ALSA, 2 channels, 48000 Hz), default"


@pytest.mark.parametrize(
    "wanted, number", [(None, 2), (0, 0), (" 3 ", 3), ("intel", 0), ("AUDIO: mic", 2), ("usb", 3), ("HDA Intel", 0)]
)
def test_devices_are_chosen_by_number_name_and_part(found, wanted, number):
    assert choose(wanted, found).number == number


@pytest.mark.parametrize("wanted", ["webcam", 1, "7", -1, "hw:"])
def test_a_wrong_choice_shows_the_right_ones(found, wanted):
    with pytest.raises(MicrophoneError, match=f"'?{wanted}.* choose one of 0: HDA Intel.*2: USB Audio"):
        choose(wanted, found)


def test_without_a_default_the_first_input_is_taken():
    with patch.dict(sys.modules, sounddevice=PortAudio(SPEAKER, LAPTOP, default=-1)):
        assert choose(None, devices()).number == 1


def test_a_device_that_two_sound_systems_list_is_that_of_the_usual_one():
    with patch.dict(sys.modules, sounddevice=PortAudio((*USB, "MME"), USB, LAPTOP, default=2)):
        assert choose("usb", devices()).number == 1


# --- errors ----------------------------------------------------------------------------------------


def error(sd, **options) -> str:
    with patch.dict(sys.modules, sounddevice=sd), pytest.raises(MicrophoneError) as caught:
        Microphone(MicrophoneOptions(**options))
    return str(caught.value)


def test_sounddevice_is_not_installed():
    assert "pip install 'asr[microphone]'" in error(None)


def test_portaudio_is_missing(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(MicrophoneError, match="apt install libportaudio2"):
        devices()


def test_no_device():
    with patch.object(microphone, "_forbidden", lambda: False):
        assert "no microphone found" in error(PortAudio(SPEAKER))
        assert "no microphone found" in error(PortAudio())


def test_no_permission_for_any_device():
    with patch("glob.glob", lambda _: ["/dev/snd/pcmC0D0c"]), patch("os.access", lambda *_: False):
        assert "no permission" in error(PortAudio()) and "group audio" in error(PortAudio())


@pytest.mark.parametrize(
    "failure, sentence",
    [
        (("Device unavailable", -9985), "'USB Audio: Mic (hw:1,0)' is busy"),
        (("Unanticipated host error", -9999, (0, -16, "Device or resource busy")), "is busy"),
        (("Unanticipated host error", -9999, (0, -13, "Permission denied")), "no permission"),
        (("Invalid sample rate", -9997), "'USB Audio: Mic (hw:1,0)' cannot be opened: .*Invalid sample rate"),
    ],
)
def test_a_device_that_does_not_open(failure, sentence):
    sd = PortAudio(USB)
    sd.failure = failure
    with patch.object(microphone, "_forbidden", lambda: False):
        text = error(sd)
    assert all(part in text for part in sentence.split(".*"))


def test_a_stream_that_does_not_start_is_closed(monkeypatch):
    def start(stream):
        raise PortAudioError("Device unavailable", -9985)

    monkeypatch.setattr(Stream, "start", start)
    sd = PortAudio(USB)
    assert "busy" in error(sd) and sd.streams[0].closed


@pytest.mark.parametrize("options", [{"block": 0}, {"block": float("nan")}, {"queue": 0.01}, {"stall": 0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(MicrophoneError, match="block is 0.01 to 1 s"):
        MicrophoneOptions(**options)


# --- samples ---------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
    block=st.floats(0.01, 1),
    lengths=st.lists(st.integers(1, 9_000), min_size=1, max_size=6),
)
def test_any_rate_and_cut_gives_one_signal_at_16_khz(rate, block, lengths):
    with opened(sd := PortAudio(("X", 1, float(rate))), block=block, queue=60) as microphone:
        for piece in np.split(NOISE[: sum(lengths), :1], np.cumsum(lengths)[:-1]):
            sd.streams[0].hear(piece)
        heard = rest(microphone)
    assert heard.dtype == np.float32 and microphone.dropped == 0
    np.testing.assert_allclose(heard, soxr.resample(NOISE[: sum(lengths), 0], rate, 16_000), atol=1e-6)


def test_a_device_without_mono_gives_the_mean_of_its_channels():
    sd = PortAudio(("X", 2, 16_000.0))
    sd.stereo_only = True
    with opened(sd) as microphone:
        sd.streams[0].hear(NOISE[:4_000])
        np.testing.assert_allclose(rest(microphone), NOISE[:4_000].mean(1), atol=1e-6)


def test_the_next_loop_goes_on_where_one_was_left():
    with opened(sd := PortAudio(("X", 1, 16_000.0))) as microphone:
        sd.streams[0].hear(NOISE[:8_000, :1])
        for first in microphone:
            break
        assert len(first) == 1_280
        np.testing.assert_array_equal(np.concatenate([first, rest(microphone)]), NOISE[:8_000, 0])


def test_stop_ends_a_loop_that_waits():
    with opened(sd := PortAudio(USB)) as microphone:
        threading.Timer(0.2, microphone.stop).start()
        assert list(microphone) == [] and sd.streams[0].closed


def test_after_close_nothing_comes():
    with opened(sd := PortAudio(USB)) as microphone:
        sd.streams[0].hear(NOISE[:8_000, :1])
    assert list(microphone) == [] and sd.streams[0].closed


# --- losses ----------------------------------------------------------------------------------------


def test_what_does_not_fit_the_queue_is_counted_and_told():
    with opened(sd := PortAudio(("X", 1, 16_000.0)), said := [], block=0.1, queue=1.0) as microphone:
        sd.streams[0].hear(NOISE[:40_000, :1])
        next(microphone)
        assert microphone.dropped == pytest.approx(1.5)
        assert said == ["1.5 s of sound dropped so far: it is not taken in time"]
        sd.streams[0].hear(NOISE[:3_200, :1])
        next(microphone)
        assert len(said) == 1  # not a line for each block
        assert len(rest(microphone)) == 16_000 - 1_600
    assert said[1:] == ["1.6 s of sound dropped so far: it is not taken in time"]


def test_losses_before_us_are_counted_and_told():
    with opened(sd := PortAudio(USB), said := []) as microphone:
        sd.streams[0].hear(NOISE[:3_840, :1], overflow=True)
    assert microphone.overflows == 1 and said == ["sound lost 1 times so far by the device or its driver"]


def test_a_reader_may_be_late_by_half_a_minute_and_more():
    """At a load of ten a block can wait long: nothing of 30 s is lost, and what waited comes in order."""
    with opened(sd := PortAudio(("X", 1, 16_000.0)), said := []) as microphone:
        late = np.concatenate([NOISE[:, :1]] * 6)
        sd.streams[0].hear(late)
        np.testing.assert_array_equal(rest(microphone), late[:, 0])
        assert len(late) > 30 * 16_000 and microphone.dropped == 0 and said == []


def test_what_is_no_sound_becomes_silence_and_is_told():
    broken = NOISE[:8_000].copy()
    broken[100, 0], broken[200, 1], broken[300, 0] = np.nan, np.inf, 1e30
    sd = PortAudio(("X", 2, 16_000.0))
    sd.stereo_only = True
    with opened(sd, said := []) as microphone:
        sd.streams[0].hear(broken)
        heard = rest(microphone)
    np.testing.assert_allclose(heard, np.where(np.abs(broken) < 100, broken, 0).mean(1), atol=1e-6)
    assert microphone.bad_samples == 3 and len(said) == 1 and said[0].startswith("microphone 'X': 3 samples are NaN")


def test_a_device_that_gives_only_zeros_is_told_once():
    with opened(sd := PortAudio(("X", 1, 16_000.0)), said := []) as microphone:
        sd.streams[0].hear(np.zeros((96_000, 1), np.float32))
        assert not rest(microphone).any()
    assert said == ["microphone 'X' gives only zeros: it is muted, or this program may not use it"]


def test_a_pause_is_not_a_muted_device():
    with opened(sd := PortAudio(("X", 1, 16_000.0)), said := []) as microphone:
        sd.streams[0].hear(np.vstack([NOISE[:160, :1], np.zeros((96_000, 1), np.float32)]))
        rest(microphone)
    assert said == []


# --- a device that goes and comes ------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(microphone, "_RETRY_S", 0.0)


GONE = "microphone 'USB Audio: Mic (hw:1,0)' has disappeared"


@pytest.mark.parametrize(
    "wanted, back, number",
    [("usb", (LAPTOP, USB), 1), (0, (LAPTOP, USB), 1), ("0", (USB, USB), 0), (None, (USB,), 0)],
)
def test_a_device_that_disappears_is_waited_for(at_once, wanted, back, number):
    with opened(sd := PortAudio(USB), said := [], device=wanted) as microphone:
        sd.streams[0].hear(NOISE[:7_680, :1])
        sd.plugged, sd.streams[0].active = (), False
        before = np.concatenate([next(microphone), next(microphone), next(microphone)])  # two blocks and their end
        np.testing.assert_allclose(before, soxr.resample(NOISE[:7_680, 0], 48_000, 16_000), atol=1e-6)
        away = np.concatenate([next(microphone) for _ in range(3)])
        assert not away.any() and 3_000 < len(away) < 30_000 and sd.streams[0].closed
        sd.plugged = back
        while len(sd.streams) == 1:
            next(microphone)
        sd.streams[1].hear(NOISE[:7_680, :1])
        np.testing.assert_allclose(rest(microphone), before, atol=1e-6)
    assert said == [f"{GONE}: waiting for it", "going on with microphone 'USB Audio: Mic (hw:1,0)'"]
    assert sd.streams[1].number == number


def test_the_default_may_be_another_device_then(at_once):
    with opened(sd := PortAudio(USB), said := []) as microphone:
        sd.plugged, sd.streams[0].active = (LAPTOP,), False
        while len(sd.streams) == 1:
            next(microphone)
        sd.streams[1].hear(NOISE[:44_100, :1])
        assert len(rest(microphone)) == 16_000 and sd.streams[1].rate == 44_100
    assert said[1:] == ["going on with microphone 'HDA Intel: Analog (hw:0,0)'"]


def test_another_device_at_the_same_number_is_not_taken(at_once):
    with opened(sd := PortAudio(USB), device=0) as microphone:
        sd.plugged, sd.streams[0].active = (LAPTOP,), False
        for _ in range(4):
            next(microphone)
        assert len(sd.streams) == 1


def test_a_device_that_is_busy_when_it_comes_back_is_tried_again(at_once):
    with opened(sd := PortAudio(USB)) as microphone:
        sd.failure, sd.streams[0].active = ("Device unavailable", -9985), False
        for _ in range(3):
            next(microphone)
        sd.failure = None
        while len(sd.streams) == 1:
            next(microphone)


def test_a_device_that_says_nothing_has_disappeared_too():
    with opened(sd := PortAudio(USB), said := [], stall=0.3) as microphone:
        assert not next(microphone).any() and sd.streams[0].closed
    assert said == [f"{GONE}: waiting for it"]


def test_a_device_that_is_not_waited_for():
    with opened(sd := PortAudio(USB), wait=False) as microphone:
        sd.streams[0].hear(NOISE[:3_840, :1])
        sd.streams[0].active = False
        assert len(next(microphone))
        with pytest.raises(MicrophoneError, match="has disappeared: connect it"):
            next(microphone)
        assert list(microphone) == []
