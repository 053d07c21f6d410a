"""Live audio by WebSocket: the results are those of a Listener."""

import asyncio
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import soxr
from hypothesis import example, given
from hypothesis import strategies as st
from serving import CLIP, DATA, pcm, server  # noqa: F401

import asr
from asr import audio
from asr.live.stream import Result
from asr.serve.live import MAX_UNREAD, FormatError, PcmFormat, PcmReader, Session, SessionError

client = pytest.importorskip("websockets.sync.client", reason="needs the extra `serve`")
from websockets.exceptions import ConnectionClosed, ConnectionClosedError  # noqa: E402

SOUND = np.concatenate([audio.load(str(CLIP)), np.zeros(16_000, np.float32)])
END = json.dumps({"type": "end"})


@pytest.fixture(scope="module")
def listener():
    return asr.Listener(asr.load())


@pytest.fixture(scope="module")
def wanted(listener):
    return said(listener, pcm(SOUND), PcmFormat())


def said(listener, data, format):
    reader = PcmReader(format)
    return [r for r in listener.over([reader.feed(data), reader.flush()]) if r.kind == "final"]


def talk(server, *messages):  # noqa: F811
    """All the answers."""
    answers = []
    with client.connect(server.socket) as ws, suppress(ConnectionClosedError):
        for message in messages:
            ws.send(message)
        for text in ws:
            answers.append(json.loads(text))
    return answers


def finals(answers):
    return [a["text"] for a in answers if a["kind"] == "final"]


def test_words_are_those_of_a_listener(server, wanted):  # noqa: F811
    data = pcm(SOUND)
    answers = talk(server, *(data[i : i + 999] for i in range(0, len(data), 999)), END)
    assert finals(answers) == [r.text for r in wanted] and answers[-1] == {"kind": "end"}
    words = next(a for a in answers if a["kind"] == "final")["words"]
    assert [w["start"] for w in words] == [round(w.start, 3) for w in wanted[0].words]
    assert any(a["kind"] == "partial" for a in answers)


@pytest.mark.parametrize("encoding, rate, channels", [("f32le", 16_000, 1), ("s16le", 48_000, 2), ("s32le", 16_000, 1)])
def test_formats(server, listener, encoding, rate, channels):  # noqa: F811
    sound = soxr.resample(SOUND, 16_000, rate) if rate != 16_000 else SOUND
    sound = np.repeat(np.clip(sound, -1, 1), channels)
    scale, kind = {"f32le": (1, "<f4"), "s16le": (32_767, "<i2"), "s32le": (2**31 - 128, "<i4")}[encoding]
    start = {"type": "start", "encoding": encoding, "rate": rate, "channels": channels, "partials": False}
    data = (sound * scale).astype(kind).tobytes()
    answers = talk(server, json.dumps(start), data, END)
    assert {a["kind"] for a in answers} <= {"final", "nothing", "end"}
    assert finals(answers) == [r.text for r in said(listener, data, PcmFormat(encoding, rate, channels))] != []


def test_samples_that_are_none_are_told_and_what_follows_is_heard(server, listener):  # noqa: F811
    clean = SOUND.astype("<f4").copy()
    clean[100:103] = 0.0
    broken = clean.copy()
    broken[100:103] = np.nan, np.inf, 1e30
    start = json.dumps({"type": "start", "encoding": "f32le", "partials": False})
    answers = talk(server, start, broken.tobytes(), END)
    assert finals(answers) == [r.text for r in said(listener, clean.tobytes(), PcmFormat("f32le"))] != []
    assert answers[-1]["kind"] == "end" and answers[-1]["warning"].startswith("3 samples are NaN")


def test_many_sockets_at_once(server, wanted):  # noqa: F811
    with ThreadPoolExecutor(8) as pool:
        everyone = pool.map(lambda n: talk(server, pcm(SOUND[: 3_000 * n]), pcm(SOUND[3_000 * n :]), END), range(8))
        assert {tuple(finals(answers)) for answers in everyone} == {tuple(r.text for r in wanted)}


def test_the_client_in_the_docs(server, wanted, tmp_path, monkeypatch, capsys):  # noqa: F811
    text = (DATA.parents[1] / "docs" / "serving.md").read_text()
    [code] = [c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "websockets" in c]
    (tmp_path / "speech.raw").write_bytes(pcm(SOUND))
    monkeypatch.chdir(tmp_path)
    exec(code.replace("ws://127.0.0.1:8765/v1/listen", server.socket), {})
    assert {r.text for r in wanted} <= set(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    "messages, words",
    [
        (["hello"], "JSON object"),
        (["[]"], "JSON object"),
        (['{"type": "begin"}'], '"start"'),
        (['{"type": "start", "rate": 7}'], "8000 to 192000"),
        (['{"type": "start", "encoding": "mp3"}'], "s16le"),
        (['{"type": "start", "channels": true}'], "channels"),
        (['{"type": "start", "partials": "no"}'], "true or false"),
        (['{"type": "start", "wake": ["klingon"]}'], "wake must be"),
        (['{"type": "start", "sample_rate": 8000}'], "no field 'sample_rate': it may have channels, "),
        ([b"\0\0", '{"type": "start"}'], "only be audio"),
    ],
)
def test_what_cannot_be_understood_says_why(server, messages, words):  # noqa: F811
    answers = talk(server, *messages)
    assert answers[-1]["kind"] == "error" and words in answers[-1]["message"]


def test_a_stream_without_sound(server):  # noqa: F811
    assert talk(server, END) == talk(server, '{"type": "start"}', END) == [{"kind": "end"}]


def test_too_large_a_message_ends_the_stream(server):  # noqa: F811
    with client.connect(server.socket) as ws, pytest.raises(ConnectionClosed):
        ws.send(b"\0" * 1_100_000)
        ws.recv()


@given(st.binary(max_size=400), st.lists(st.integers(1, 900)), st.sampled_from(["s16le", "f32le"]), st.integers(1, 3))
@example(bytes([0, 0, 0, 1, 0, 0x4F, 0, 0x82]), [4, 804, 13], "s16le", 2)  # channels that cancel here and there
def test_any_bytes_cut_anywhere(data, cuts, encoding, channels):
    data, form = 20 * data, PcmFormat(encoding, channels=channels)
    (reader, other), found, at = (PcmReader(form), PcmReader(form)), [], 0
    for size in [*cuts, len(data)]:
        found.append(reader.feed(data[at : at + size]))
        at += size
    whole = np.concatenate([other.feed(data), other.flush()])
    joined = np.concatenate([*found, reader.flush()])
    assert np.array_equal(joined, whole) and np.isfinite(whole).all() and whole.dtype == np.float32


@pytest.mark.parametrize("encoding, half", [("s16le", 1 << 14), ("s32le", 1 << 30), ("f32le", 0.5)])
def test_half_of_full_scale_is_a_half(encoding, half):
    data = np.array([half, -half, half, half], {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}[encoding]).tobytes()
    assert PcmReader(PcmFormat(encoding)).feed(data).tolist() == [0.5, -0.5, 0.5, 0.5]
    assert PcmReader(PcmFormat(encoding, channels=2)).feed(data, last=True).tolist() == [0.0, 0.5]


def test_a_format_must_make_sense():
    with pytest.raises(FormatError):
        PcmFormat("s16le", 16_000.0)


def unread(*results) -> list:
    """What a client that reads nothing until all is over still gets."""

    async def reading():
        session = Session(SimpleNamespace(changed=threading.Condition(), forget=lambda one: None), None, None, 1)
        session.put(list(results), last=True)
        return [item async for item in session]

    return asyncio.run(reading())


def test_who_reads_slowly_misses_partial_results_only():
    results = [Result(kind, 0, time, str(time)) for time, kind in enumerate(["partial", "partial", "final", "partial"])]
    assert unread(*results) == [results[1], results[2], results[3]]


def test_who_reads_nothing_at_all_is_given_up():
    finals = [Result("final", n, n, "word") for n in range(MAX_UNREAD + 1)]
    assert unread(*finals[:-1]) == finals[:-1]
    with pytest.raises(SessionError, match="not read"):
        unread(*finals)
