"""What `asr serve` refuses, how, and that nobody else notices; how it stops."""

import json
import signal
import socket
import threading
import time

import pytest
from serving import CLIP, DATA, pcm, running

import asr
from asr import audio
from asr.cli import main

httpx = pytest.importorskip("httpx", reason="needs the extra `test`")
client = pytest.importorskip("websockets.sync.client", reason="needs the extra `serve`")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from asr.serve.app import counted_route  # noqa: E402

TOKEN = "a-token-of-enough-letters"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(TOKEN + "\n")
    limits = "--max-upload 0.2 --max-minutes 0.1 --max-files 2 --max-streams 2 --max-connections 12 --idle 2"
    with running("--token-file", str(path), *limits.split()) as server:
        yield server


def upload(server, content=None, **more):
    files = {"file": content or CLIP.read_bytes()}
    return httpx.post(f"{server.url}/v1/audio/transcriptions", files=files, headers=HEADERS, timeout=60, **more)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--host", "0.0.0.0", "--token-file", "/nowhere"], "cannot be read"),
        (["--host", "no.such.host.invalid"], "--token-file"),
        (["--wyoming", "0.0.0.0:10300"], "--allow"),
        (["--wyoming", "everywhere"], "an address and a port"),
        (["--port", "99999"], "65535"),
        (["--host", "192.0.2.1", "--port", "1"], "--token-file"),
        (["--model", "klingon"], "klingon"),
        (["--wake", "klingon"], "klingon"),
        (["--phrase", "42"], "digits"),
        (["--max-files", "0"], "above 0"),
        (["--allow", "192.0.2.1"], "--wyoming"),
        (["--max-upload", "inf"], "above 0"),
        (["--grace", "inf"], "above 0"),
    ],
)
def test_what_cannot_start_says_why(arguments, words, capsys):
    assert main(["serve", "--port", "0", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err and err.startswith("error: ") and err.count("\n") == 1


def test_a_token_must_be_long(tmp_path, capsys):
    (tmp_path / "token").write_text("short")
    assert main(["serve", "--token-file", str(tmp_path / "token")]) == 2
    assert "openssl rand" in capsys.readouterr().err


def test_without_the_token_there_is_nothing(strict):
    for path in ("/v1/models", "/metrics", "/v1/wake"):
        answer = httpx.get(strict.url + path)
        assert answer.status_code == 401 and "Authorization: Bearer TOKEN" in answer.json()["error"]["message"]
        assert httpx.get(strict.url + path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert httpx.get(strict.url + path, headers=HEADERS).status_code == 200
    assert httpx.get(f"{strict.url}/healthz").status_code == 200
    with pytest.raises(InvalidStatus, match="401"):
        client.connect(strict.socket)
    with client.connect(strict.socket, subprotocols=["asr", f"bearer.{TOKEN}"]) as ws:
        assert ws.subprotocol == "asr"


def test_pages_of_others_are_refused(strict):
    foreign = HEADERS | {"Origin": "https://elsewhere.example"}
    assert httpx.get(f"{strict.url}/v1/models", headers=foreign).status_code == 403
    own = HEADERS | {"Origin": strict.url}
    assert httpx.get(f"{strict.url}/v1/models", headers=own).status_code == 200
    with running() as free:  # a name that leads to 127.0.0.1 (DNS rebinding)
        for host in ("evil.example", "[", ""):
            assert httpx.get(f"{free.url}/v1/models", headers={"Host": host}).status_code in (400, 403)


def test_sizes_and_durations(strict):
    answer = upload(strict, b"\0" * 400_000)
    assert answer.status_code == 413 and "0.2 MB" in answer.json()["error"]["message"]

    def unannounced():
        for _ in range(50):
            yield b"\0" * 10_000

    url, kind = f"{strict.url}/v1/audio/transcriptions", {"Content-Type": "multipart/form-data; boundary=x"}
    assert httpx.post(url, content=unannounced(), headers=HEADERS | kind).status_code in (400, 413)
    answer = upload(strict, (DATA / "timed.opus").read_bytes())  # longer than 6 s
    assert answer.status_code == 413 and "longer than 6 s" in answer.json()["error"]["message"]


def raw(server, text: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(20)
    link.sendall(text)
    return link


def head(length: int) -> bytes:
    lines = "POST /v1/audio/transcriptions HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}"
    lines += f"Content-Length: {length}", "Content-Type: multipart/form-data; boundary=x"
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_slow_clients_lose_their_place_and_harm_nobody(strict):
    links = [raw(strict, head(1_000) + b"--x\r\n") for _ in range(2)]  # both places are taken
    time.sleep(0.5)
    refused = upload(strict)
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
    assert "408" in links[0].recv(1_000).decode() and "408" in links[1].recv(1_000).decode()
    assert upload(strict).status_code == 200


def test_clients_that_go_away(strict):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        + CLIP.read_bytes()
        + b"\r\n--x--\r\n"
    )
    for cut in (len(body), 500):
        raw(strict, head(len(body)) + body[:cut]).close()
    until = time.monotonic() + 30
    while 'asr_under_way{kind="file"} 0.0' not in httpx.get(f"{strict.url}/metrics", headers=HEADERS).text:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert upload(strict).json()["text"] == asr.load().transcribe(CLIP).text
    assert "Traceback" not in "".join(strict.log)


def test_too_many_connections_and_streams(strict):
    offered = {"subprotocols": ["asr", f"bearer.{TOKEN}"]}
    with client.connect(strict.socket, **offered), client.connect(strict.socket, **offered):
        with pytest.raises(InvalidStatus, match="503") as caught:
            client.connect(strict.socket, **offered)
        assert int(caught.value.response.headers["Retry-After"]) > 0
    links = [raw(strict, b"") for _ in range(12)] + [raw(strict, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    assert b"503" in links[-1].recv(100)
    for link in links:
        link.close()
    time.sleep(0.5)
    assert upload(strict).status_code == 200


def test_live_clients_that_fall_silent_or_vanish_lose_their_place(strict):
    offered = {"subprotocols": ["asr", f"bearer.{TOKEN}"]}
    with client.connect(strict.socket, **offered) as silent, client.connect(strict.socket, **offered) as broken:
        broken.send(pcm(audio.load(str(CLIP))))
        broken.socket.shutdown(socket.SHUT_RDWR)
        told = json.loads(silent.recv(timeout=30))
    assert told == {"kind": "error", "message": "nothing came for 2 s: the stream is ended"}
    until = time.monotonic() + 30
    while 'asr_under_way{kind="stream"} 0.0' not in httpx.get(f"{strict.url}/metrics", headers=HEADERS).text:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "Traceback" not in "".join(strict.log)


def test_paths_are_counted_by_their_names():
    assert counted_route("/v1/wake") == "/v1/wake" and counted_route("/v1/nothing") == "other"


def test_what_is_under_way_is_finished():
    with running("--log-text") as server:
        sound = pcm(audio.load(str(CLIP)))
        answers = []
        with client.connect(server.socket) as ws:
            ws.send(sound)
            while json.loads(ws.recv())["kind"] != "partial":
                pass
            asking = threading.Thread(target=lambda: answers.append(upload(server)))
            asking.start()
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                messages = []
                while True:
                    messages.append(json.loads(ws.recv()))
        asking.join()
        assert [m["kind"] for m in messages if m["kind"] != "partial"] == ["final", "end"]
        assert closed.value.rcvd.code == 1001
        assert answers[0].status_code in (200, 503)  # 503: it came after the signal
        assert server.process.wait(30) == -signal.SIGTERM
        with pytest.raises(httpx.ConnectError):
            upload(server)
        server.stop()
        assert any(m["kind"] == "final" and f"text: {m['text']}\n" in server.log for m in messages)
