"""`asr serve` by HTTP, asked by the official `openai` client."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from serving import CLIP, DATA, server  # noqa: F401

import asr
from asr import audio
from asr.transcript import FORMATS

openai = pytest.importorskip("openai", reason="needs the extra `test`")
httpx = pytest.importorskip("httpx", reason="needs the extra `test`")


@pytest.fixture(scope="module")
def client(server):  # noqa: F811
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def wanted():
    return asr.load().transcribe(CLIP)


def ask(client, **fields):
    return client.audio.transcriptions.create(**{"model": "whisper-1", "file": CLIP} | fields)


def test_text(client, wanted):
    found = ask(client)
    assert found.text == wanted.text and found.usage.seconds == 4


@pytest.mark.parametrize("name, format", [("text", "txt"), ("srt", "srt"), ("vtt", "vtt")])
def test_captions_are_those_of_the_command(client, wanted, name, format):
    text = io.StringIO()
    FORMATS[format].write(wanted, text)
    assert ask(client, response_format=name) == text.getvalue()


def test_words_and_segments_with_their_times(client, wanted):
    found = ask(client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    words = [w for s in wanted.segments for w in s.words]
    assert [w.word for w in found.words] == [w.text for w in words]
    assert [w.start for w in found.words] == pytest.approx([w.start for w in words], abs=2e-3)
    assert [s.text for s in found.segments] == [s.text for s in wanted.segments]
    assert found.duration == pytest.approx(wanted.duration, abs=1e-3) and found.language == "english"
    assert ask(client, response_format="verbose_json", timestamp_granularities=["word"]).segments is None
    assert ask(client, response_format="verbose_json").words is None


def test_streamed_text(client, wanted):
    events = list(ask(client, stream=True))
    assert "".join(e.delta for e in events[:-1]) == events[-1].text == wanted.text
    assert [e.type for e in events] == ["transcript.text.delta"] * len(wanted.segments) + ["transcript.text.done"]


def test_streamed_text_of_several_segments(client, tmp_path):
    pause, other = np.zeros(48_000, np.float32), audio.load(str(DATA / "names.opus"))
    soundfile.write(tmp_path / "two.flac", np.concatenate([other, pause, audio.load(str(CLIP))]), 16_000)
    wanted = asr.load().transcribe(tmp_path / "two.flac")
    events = list(ask(client, file=tmp_path / "two.flac", stream=True))
    assert len(events) == len(wanted.segments) + 1 > 2
    assert "".join(e.delta for e in events[:-1]) == events[-1].text == wanted.text


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "english" in names and client.models.retrieve("english").id == "english"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("klingon")


def test_many_at_once(server, wanted):  # noqa: F811
    from concurrent.futures import ThreadPoolExecutor

    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    with ThreadPoolExecutor(6) as pool:
        assert {found.text for found in pool.map(lambda _: ask(client), range(6))} == {wanted.text}


@pytest.mark.parametrize(
    "fields, status, words",
    [
        ({"model": "klingon"}, 404, "model must be one of english"),
        ({"language": "de"}, 400, "English only"),
        ({"response_format": "docx"}, 400, "response_format must be one of"),
        ({"temperature": 7}, 400, "temperature"),
        ({"timestamp_granularities": ["word"]}, 400, "verbose_json"),
        ({"response_format": "srt", "stream": True}, 400, "streamed"),
        ({"file": b""}, 400, "empty"),
        ({"file": b"\0" * 1_000}, 400, "not audio"),
        ({"file": ("/etc/passwd", b"no sound")}, 400, "not audio"),
        ({"file": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"}, 400, "not audio"),
        ({"file": b"ffconcat version 1.0\nfile 'independence.opus'\n"}, 400, "not audio"),
        ({"file": b"\0" * 1_000, "stream": True}, 400, "not audio"),
    ],
)
def test_what_cannot_be_done_says_why(client, fields, status, words):
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, **fields)
    assert caught.value.status_code == status and words in caught.value.message
    assert caught.value.response.json()["error"]["message"].count("/") == 0  # no paths of ours


def test_a_form_that_is_none(server):  # noqa: F811
    url = f"{server.url}/v1/audio/transcriptions"
    answers = [
        httpx.post(url),
        httpx.post(url, json={"file": "/etc/passwd"}),
        httpx.post(url, data={"file": "/etc/passwd"}),
        httpx.post(url, content=b"\xff" * 99, headers={"Content-Type": "multipart/form-data; boundary=x"}),
        httpx.post(url, content=b"--x", headers={"Content-Type": "multipart/form-data"}),
        httpx.post(url, files=[("file", CLIP.read_bytes())] * 2),
    ]
    assert [a.status_code for a in answers] == [400] * 6 and all(a.json()["error"]["message"] for a in answers)


def test_names_of_fields_as_clients_write_them(server, wanted):  # noqa: F811
    url = f"{server.url}/v1/audio/transcriptions"
    for list_name in ("timestamp_granularities", "timestamp_granularities[]", "Timestamp_Granularities[0]"):
        fields = {"Response_Format": "verbose_json", list_name: "word"}
        found = httpx.post(url, data=fields, files={"File": CLIP.read_bytes()}, timeout=60).json()
        assert found["text"] == wanted.text and "words" in found and "segments" not in found
    shouting = (
        b'--X\r\nCONTENT-DISPOSITION: FORM-DATA; NAME="FILE"; FILENAME="A"\r\n\r\n%s\r\n--X--\r\n' % CLIP.read_bytes()
    )
    answer = httpx.post(url, content=shouting, headers={"Content-Type": "Multipart/Form-Data; Boundary=X"}, timeout=60)
    assert answer.json()["text"] == wanted.text


def test_a_file_that_comes_as_a_text_says_how_to_send_it(server):  # noqa: F811
    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    for content in (b"@talk.wav", b"\0" * 100_000):
        answer = httpx.post(
            f"{server.url}/v1/audio/transcriptions",
            content=head + content + b"\r\n--x--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert answer.status_code == 400 and "'file', with a file name" in answer.json()["error"]["message"]


def test_translations_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="translates nothing: use /v1/audio/transcriptions"):
        client.audio.translations.create(model="whisper-1", file=CLIP)


@pytest.mark.parametrize("name, format", [("text", "txt"), ("srt", "srt"), ("vtt", "vtt")])
def test_known_words_become_captions(server, wanted, name, format):  # noqa: F811
    text = io.StringIO()
    FORMATS[format].write(wanted, text)
    segments = [[{"text": w.text, "start": w.start, "end": w.end} for w in s.written] for s in wanted.segments]
    answer = httpx.post(f"{server.url}/v1/captions", json={"response_format": name, "segments": segments})
    assert answer.text == text.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 9_000,
        b'{"response_format": "srt", "segments": [[7]]}',
        b'{"response_format": "docx", "segments": []}',
        b'{"response_format": [], "segments": []}',
        b'{"response_format": "srt", "segments": [[{"text": "a", "start": 0, "end": NaN}]]}',
        b'{"response_format": "srt", "segments": [[{"text": "a", "start": 2, "end": 1}]]}',
        b'{"response_format": "srt", "segments": [[{"text": null, "start": 0, "end": 1}]]}',
    ],
)
def test_words_that_are_none_are_refused(server, content):  # noqa: F811
    answer = httpx.post(f"{server.url}/v1/captions", content=content)
    assert answer.status_code == 400 and "send JSON" in answer.json()["error"]["message"]


def test_half_a_file_gives_the_half_with_a_warning(client, tmp_path):
    whole, half = tmp_path / "whole.wav", tmp_path / "half.wav"
    soundfile.write(whole, audio.load(str(CLIP)), 16_000, subtype="PCM_16")
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = ask(client, file=half)
    assert found.text == asr.load().transcribe(half).text and "the upload could be read for" in found.warning
    assert list(ask(client, file=half, stream=True))[-1].warning == found.warning
    captions = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=half, response_format="srt")
    assert captions.headers["X-Warning"] == found.warning


def converted(path, *options):
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "3", "-i", CLIP, *options, path], check=True)
    return path


def test_video(client, tmp_path):
    path = converted(tmp_path / "clip.mkv", "-c:a", "copy")
    found = ask(client, file=path)
    assert found.text == asr.load().transcribe(path).text and not hasattr(found, "warning")


@pytest.mark.parametrize("kind", ["m4a", "webm", "mka", "wma", "tta", "caf"])
def test_half_a_file_that_takes_ffmpeg_gives_the_half_with_a_warning(client, tmp_path, kind):
    path = converted(tmp_path / f"half.{kind}", *(["-movflags", "+faststart"] if kind == "m4a" else []))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = ask(client, file=path)
    assert found.text.startswith("He ") and "the upload could be read for" in found.warning


def test_channels_that_cancel_are_heard_and_told(client, wanted, tmp_path):
    sound = audio.load(str(CLIP))
    soundfile.write(tmp_path / "opposite.flac", np.stack([sound, -sound], axis=1), 16_000)
    found = ask(client, file=tmp_path / "opposite.flac")
    assert found.text == wanted.text and found.warning == "the upload: its channels cancel out, so one is heard"


def test_health_and_metrics(server, client):  # noqa: F811
    ask(client)
    assert httpx.get(f"{server.url}/healthz").text == "ok\n"
    lines = dict(line.rsplit(" ", 1) for line in httpx.get(f"{server.url}/metrics").text.splitlines() if line[0] != "#")
    assert float(lines['asr_audio_seconds_total{kind="file"}']) > 3
    assert float(lines['asr_requests_total{route="/v1/audio/transcriptions",status="200"}']) >= 1
    assert float(lines['asr_under_way{kind="file"}']) == 0


def test_nothing_else_is_there(server):  # noqa: F811
    answer = httpx.get(f"{server.url}/page/../command.py")
    assert answer.status_code == 404 and json.loads(answer.text)["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{server.url}/page/%2e%2e/command.py").status_code == 404
    assert httpx.put(f"{server.url}/v1/models").status_code == 405


def test_nothing_said_is_logged(server, client, wanted):  # noqa: F811
    ask(client)
    assert wanted.text.split()[0] and wanted.text not in "".join(server.log)
