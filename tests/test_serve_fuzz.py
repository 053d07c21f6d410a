"""Requests that make no sense: an answer below 500, and a server that goes on."""

import contextlib
import socket
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import CLIP, running

httpx = pytest.importorskip("httpx", reason="needs the extra `test`")
client = pytest.importorskip("websockets.sync.client", reason="needs the extra `serve`")
from websockets.exceptions import WebSocketException  # noqa: E402

FEW = settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
NAMES = st.sampled_from(["model", "language", "response_format", "stream", "temperature", "timestamp_granularities[]"])
TEXTS = st.text(max_size=20) | st.sampled_from(["srt", "true", "word", "english", "nan", "-1", "1e999"])
FILES = st.binary(max_size=300) | st.integers(1, 9_000).map(lambda n: CLIP.read_bytes()[:n])


@pytest.fixture(scope="module")
def fuzzed():
    with running("--idle", "5") as server:
        yield server
        assert server.process.poll() is None and "Traceback" not in "".join(server.log)


@FEW
@given(st.dictionaries(NAMES, TEXTS), FILES, st.text(max_size=20))
def test_forms(fuzzed, fields, content, name):
    answer = httpx.post(
        f"{fuzzed.url}/v1/audio/transcriptions", data=fields, files={"file": (name, content)}, timeout=60
    )
    assert answer.status_code in (200, 400, 404)
    assert answer.status_code == 200 or answer.json()["error"]["message"]


@FEW
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    st.sampled_from(["/v1/audio/transcriptions", "/v1/models/", "/v1/listen", "/page/", "/"]),
    st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=10),
    st.binary(max_size=100),
    st.sampled_from(["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "audio/wav", "x"]),
)
def test_requests(fuzzed, method, path, more, content, kind):
    answer = httpx.request(method, fuzzed.url + quote(path + more), content=content, headers={"Content-Type": kind})
    assert answer.status_code < 500


@FEW
@given(
    st.binary(max_size=300) | st.binary(max_size=100).map(lambda b: b"POST /v1/models HTTP/1.1\r\n" + b + b"\r\n\r\n")
)
def test_bytes(fuzzed, content):
    with socket.create_connection(("127.0.0.1", fuzzed.port), 10) as link, contextlib.suppress(ConnectionError):
        link.sendall(content)
        link.shutdown(socket.SHUT_WR)
        link.recv(1_000)
    assert httpx.get(f"{fuzzed.url}/healthz", timeout=30).status_code == 200


@FEW
@given(st.lists(st.binary(max_size=200) | st.text(max_size=40) | st.just('{"type": "start"}'), max_size=5))
def test_messages(fuzzed, messages):
    with contextlib.suppress(WebSocketException, ConnectionError), client.connect(fuzzed.socket) as ws:
        for message in messages:
            ws.send(message)
        ws.send('{"type": "end"}')
        for _ in ws:
            pass
    assert httpx.get(f"{fuzzed.url}/healthz", timeout=30).status_code == 200
