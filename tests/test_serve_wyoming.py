"""Wyoming, spoken by the package's own client."""

import asyncio
import contextlib
import json
import shutil
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import CLIP, eager, pcm, running

import asr
from asr import audio

pytest.importorskip("wyoming", reason="needs the extra `serve`")
from wyoming.asr import Transcribe, Transcript, TranscriptChunk  # noqa: E402
from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: E402
from wyoming.client import AsyncTcpClient  # noqa: E402
from wyoming.error import Error  # noqa: E402
from wyoming.info import Describe, Info  # noqa: E402
from wyoming.wake import Detect, Detection  # noqa: E402

import wakeword.detector  # noqa: E402
from asr.serve.live import Session, SessionError  # noqa: E402
from asr.serve.wyoming import info  # noqa: E402
from wakeword.several import detectors  # noqa: E402

SOUND = np.concatenate([audio.load(str(CLIP)), np.zeros(16_000, np.float32)])
FORMAT = {"rate": 16_000, "width": 2, "channels": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    detector = eager(tmp_path_factory.mktemp("wake") / "eager.safetensors")
    words = "--wake", detector, "--phrase", "American War"
    with running("--wyoming", "127.0.0.1:0", *words, "--idle", "3") as found:
        yield found


@pytest.fixture(scope="module")
def port(server):
    return server.wyoming


def blocks(sound, count=1_600):
    return [AudioChunk(**FORMAT, audio=pcm(block)) for block in np.split(sound, range(count, len(sound), count))]


def say(port, *messages, until):
    """Send all messages, and return the answers up to one of a type."""

    async def asking():
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for message in messages:
                await client.write_event(message.event())
            found = []
            while event := await asyncio.wait_for(client.read_event(), 60):
                found.append(event)
                if event.type == until:
                    return found

    return asyncio.run(asking())


def talk(port, request, until):
    """Ask, send the sound, and return the answers up to one of a type."""
    return say(port, request, AudioStart(**FORMAT), *blocks(SOUND), AudioStop(), until=until)


def test_description(port):
    async def asking():
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            return Info.from_event(await client.read_event())

    found = asyncio.run(asking())
    assert found.asr[0].models[0].languages == ["en"] and found.asr[0].supports_transcript_streaming
    words = [(model.name, model.phrase) for model in found.wake[0].models]
    assert words == [("eager", "anything"), ("american-war", "american war")]


@pytest.mark.parametrize("count", [0, 3])
def test_packaged_wake_words_are_offered(count, tmp_path, monkeypatch):
    monkeypatch.setattr(wakeword.detector, "MODELS", tmp_path / "models")
    (tmp_path / "models").mkdir()
    one = eager(tmp_path / "one.safetensors")
    for number in range(count):
        shutil.copy(one, tmp_path / "models" / f"word-{number}.safetensors")
    words = detectors([], [], recognizer=None)
    assert list(words) == [f"word-{number}" for number in range(count)]
    told = info(SimpleNamespace(model="english", detectors=words))
    assert [m.name for program in told.wake for m in program.models] == list(words)
    assert list(detectors([one], [], recognizer=None)) == ["one"]  # who names some gets no others


def test_wake_words_have_names_of_their_own(tmp_path):
    one = eager(tmp_path / "one.safetensors")
    with pytest.raises(wakeword.detector.DetectorError, match="two wake words are called one"):
        detectors([one, one], [], recognizer=None)


def text_of(events):
    [text] = [Transcript.from_event(e).text for e in events if Transcript.is_type(e.type)]
    return text


def test_transcription(server, port):
    heard = np.frombuffer(pcm(SOUND), "<i2").astype(np.float32) / 32_768
    wanted = " ".join(r.text for r in asr.Listener(asr.load()).over([heard]) if r.kind == "final" and r.text)
    events = talk(port, Transcribe(language="en"), "transcript-stop")
    text = text_of(events)
    chunks = "".join(TranscriptChunk.from_event(e).text for e in events if TranscriptChunk.is_type(e.type))
    assert text == wanted and events[0].type == "transcript-start"
    assert chunks == text
    assert text.split()[0] and text not in "".join(server.log)


def test_wake_words(port):
    events = talk(port, Detect(names=["eager"]), "detection")
    found = Detection.from_event(events[-1])
    assert found.name == "eager" and 0 <= found.timestamp < 1_500
    events = talk(port, Detect(names=["another"]), "not-detected")
    assert [e.type for e in events] == ["error", "not-detected"]
    assert Error.from_event(events[0]).text.startswith("there is no wake word another here, only ")


def test_any_phrase_is_a_wake_word(port):
    found = Detection.from_event(talk(port, Detect(names=["american-war"]), "detection")[-1])
    assert found.name == "american-war" and 1_800 < found.timestamp < 2_800


def test_a_wake_word_that_the_sound_ends_with_is_found(port):
    ended = SOUND[: round(2.2 * 16_000)]  # the detector fires at 2.4 s
    request = Detect(names=["american-war"]), AudioStart(**FORMAT)
    found = say(port, *request, *blocks(ended), AudioStop(), until="detection")
    assert [Detection.from_event(e).name for e in found] == ["american-war"]


def test_sound_without_a_start_is_answered_and_what_follows_is_heard(port):
    lost = blocks(SOUND[:4_800])
    found = say(port, Detect(), *lost, AudioStop(), AudioStart(**FORMAT), *blocks(SOUND), until="detection")
    assert [e.type for e in found] == ["error", "detection"]
    assert Error.from_event(found[0]).text == "audio-chunk came before audio-start: send audio-start first"


def test_a_new_request_amid_the_sound_is_heeded(port):
    first, second = blocks(SOUND[:16_000]), blocks(SOUND[16_000:])
    start = Detect(names=["american-war"]), AudioStart(**FORMAT)
    found = say(port, *start, *first, Detect(names=["eager"]), *second, until="detection")
    assert [Detection.from_event(e).name for e in found] == ["eager"]
    assert Detection.from_event(found[0]).timestamp > 1_000  # of the stream, not of the request
    again = say(port, *start, *first, *start, *second, AudioStop(), until="detection")  # as satellites do it
    assert [Detection.from_event(e).name for e in again] == ["american-war"]
    found = say(port, *start, *first, Transcribe(), *blocks(SOUND), AudioStop(), until="transcript-stop")
    assert "not-detected" not in [e.type for e in found] and len(text_of(found).split()) > 5


def test_the_format_of_a_chunk_counts(port):
    half = len(SOUND) // 2
    wanted = text_of(talk(port, Transcribe(), "transcript-stop"))
    wide = np.repeat(soxr.resample(SOUND[half:], 16_000, 48_000), 2)
    other = {"rate": 48_000, "width": 4, "channels": 2}
    second = AudioChunk(**other, audio=(np.clip(wide, -1, 1) * (2**31 - 128)).astype("<i4").tobytes())
    start = Transcribe(), AudioStart(rate=8_000, width=4, channels=1)
    found = say(port, *start, *blocks(SOUND[:half]), second, AudioStop(), until="transcript-stop")
    assert text_of(found) == wanted and wanted


@pytest.mark.parametrize(
    "messages, words",
    [
        ([AudioStart(rate=16_000, width=3, channels=1)], "2 or 4 bytes"),
        ([AudioStart(rate=7, width=2, channels=1)], "8000 to 192000"),
        ([Detect(names=5), AudioStart(**FORMAT)], "names must be a list"),
        ([AudioChunk(**FORMAT, audio=bytes(1_000_001))], "1000000 bytes"),
    ],
)
def test_what_cannot_be_understood_says_why(port, messages, words):
    assert words in Error.from_event(say(port, *messages, until="error")[-1]).text


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff" * 1_000 + b"\n",
        b"x" * 100_000,
        b"[]\n",
        b'{"type": 7}\n',
        b'{"type": "audio-start", "data": {"width": "x"}}\n',
        b'{"type": "audio-start", "data": {"rate": 1e9, "width": 2, "channels": 1}}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b'{"type": "ping", "data_length": -5}\n',
        b"[" * 60_000 + b"\n",
        json.dumps({"type": "detect", "data": {"names": 5}}).encode() + b"\n",
        b'{"type": "transcribe"}\n{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n',
    ],
)
def test_rubbish_ends_its_own_connection_only(port, rubbish):
    with socket.create_connection(("127.0.0.1", port), 20) as link:
        link.sendall(rubbish)
        while link.recv(10_000):
            pass
    test_description(port)


def test_a_stream_that_was_ended_takes_sound_without_waiting():
    async def feeding():
        session = Session(SimpleNamespace(changed=threading.Condition()), None, None, 100)
        session.put([SessionError("the server failed")], last=True)
        await asyncio.sleep(0)
        await asyncio.wait_for(session.feed(np.zeros(1_000, np.float32)), 5)
        assert not session.waiting

    asyncio.run(feeding())


HEADS = st.fixed_dictionaries(
    {"type": st.sampled_from(["transcribe", "detect", "audio-start", "audio-chunk", "audio-stop", "describe", "ping"])},
    optional={
        "data": st.just(FORMAT) | st.dictionaries(st.sampled_from([*FORMAT, "names"]), st.integers() | st.text()),
        "data_length": st.integers(-2, 100),
        "payload_length": st.integers(-2, 100),
    },
)
EVENTS = st.builds(lambda head, more: json.dumps(head).encode() + b"\n" + more, HEADS, st.binary(max_size=100))


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(EVENTS | st.binary(max_size=50), max_size=5).map(b"".join))
def test_any_bytes_end_their_own_connection_only(server, content):
    with socket.create_connection(("127.0.0.1", server.wyoming), 20) as link, contextlib.suppress(ConnectionError):
        link.sendall(content)
        link.shutdown(socket.SHUT_WR)
        while link.recv(10_000):
            pass
    test_description(server.wyoming)
    assert server.process.poll() is None and "Traceback" not in "".join(server.log)
