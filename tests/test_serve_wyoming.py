"""Wyoming, spoken by the package's own client."""

import asyncio
import json
import socket

import numpy as np
import pytest
from serving import CLIP, eager, pcm, running

import asr
from asr import audio

pytest.importorskip("wyoming", reason="needs the extra `serve`")
from wyoming.asr import Transcribe, Transcript, TranscriptChunk  # noqa: E402
from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: E402
from wyoming.client import AsyncTcpClient  # noqa: E402
from wyoming.info import Describe, Info  # noqa: E402
from wyoming.wake import Detect, Detection  # noqa: E402

SOUND = np.concatenate([audio.load(str(CLIP)), np.zeros(16_000, np.float32)])
FORMAT = {"rate": 16_000, "width": 2, "channels": 1}


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    detector = eager(tmp_path_factory.mktemp("wake") / "eager.safetensors")
    with running("--wyoming", "127.0.0.1:0", "--wake", detector, "--idle", "3") as server:
        yield server.wyoming


def talk(port, request, until):
    """Ask, send the sound, and return the answers up to one of a type."""

    async def asking():
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(request.event())
            await client.write_event(AudioStart(**FORMAT).event())
            for block in np.split(SOUND, range(1_600, len(SOUND), 1_600)):
                await client.write_event(AudioChunk(**FORMAT, audio=pcm(block)).event())
            await client.write_event(AudioStop().event())
            found = []
            while event := await asyncio.wait_for(client.read_event(), 60):
                found.append(event)
                if event.type == until:
                    return found

    return asyncio.run(asking())


def test_description(port):
    async def asking():
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            return Info.from_event(await client.read_event())

    info = asyncio.run(asking())
    assert info.asr[0].models[0].languages == ["en"] and info.asr[0].supports_transcript_streaming
    assert (info.wake[0].models[0].name, info.wake[0].models[0].phrase) == ("eager", "anything")


def test_transcription(port):
    heard = np.frombuffer(pcm(SOUND), "<i2").astype(np.float32) / 32_768
    wanted = " ".join(r.text for r in asr.Listener(asr.load()).over([heard]) if r.kind == "final" and r.text)
    events = talk(port, Transcribe(language="en"), "transcript-stop")
    [text] = [Transcript.from_event(e).text for e in events if Transcript.is_type(e.type)]
    chunks = "".join(TranscriptChunk.from_event(e).text for e in events if TranscriptChunk.is_type(e.type))
    assert text == wanted and events[0].type == "transcript-start"
    assert chunks == text


def test_wake_words(port):
    events = talk(port, Detect(names=["eager"]), "detection")
    found = Detection.from_event(events[-1])
    assert found.name == "eager" and 0 <= found.timestamp < 1_500
    assert [e.type for e in talk(port, Detect(names=["another"]), "not-detected")] == ["not-detected"]


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
