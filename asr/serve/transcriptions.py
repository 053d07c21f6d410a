"""POST /v1/audio/transcriptions: a file in, its text out, as the OpenAI API has it."""

from __future__ import annotations

import errno
import io
import json
import math
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from asr.serve.engine import HTTPError, Job, playable
from asr.serve.service import ALIASES, RETRY_S, Service, unless
from asr.transcript import FORMATS, Segment, Transcript, Word, fields

MAX_FIELDS, MAX_FIELD_BYTES = 40, 64_000  # of a form
MAX_WORDS_BYTES = 10_000_000  # of words that are made into captions: some 40 hours of speech
MIN_CONFIDENCE = 1e-4  # confidence whose logarithm is still told
CAPTIONS = {"text": "txt", "srt": "srt", "vtt": "vtt"}  # response_format: the format of asr.transcript
ANSWERS = ("json", "text", "srt", "verbose_json", "vtt")
HOW_TO_SEND = "send the audio as the field 'file', with a file name, in a form of type multipart/form-data"


@dataclass(frozen=True)
class TranscriptionRequest:
    """The fields of a request, as the OpenAI API names them; `prompt` and `temperature` have no effect."""

    format: str = "json"
    granularities: frozenset[str] = frozenset({"segment"})  # of verbose_json
    stream: bool = False

    @staticmethod
    def of(form: list[tuple[str, Any]], model: str) -> TranscriptionRequest:
        """form: names in small letters, and values. Raises HTTPError."""
        texts = {name: value for name, value in form if isinstance(value, str)}
        format = texts.get("response_format") or "json"
        _one_of("response_format", format, ANSWERS)
        _one_of("model", texts.get("model") or model, (model, *ALIASES))
        if texts.get("language", "en").lower()[:2] not in ("", "en"):
            raise _bad_field("language", "this model knows English only: leave language out, or send 'en'")
        _check_temperature(texts.get("temperature") or "0")
        stream = texts.get("stream", "false").lower() or "false"
        _one_of("stream", stream, ("true", "false", "1", "0"))
        if stream in ("true", "1") and format not in ("json", "text"):
            raise _bad_field("stream", f"an answer in {format} cannot be streamed: ask for json")
        return TranscriptionRequest(format, _granularities(form, format), stream in ("true", "1"))


def _granularities(form: list[tuple[str, Any]], format: str) -> frozenset[str]:
    """Clients write the name of a list as `name`, `name[]` or `name[0]`."""
    name = "timestamp_granularities"
    given = [value for key, value in form if re.fullmatch(rf"{name}(\[\d*\])?", key)]
    for value in given:
        _one_of(name, value, ("word", "segment"))
    if given and format != "verbose_json":
        raise _bad_field(name, f"{name} need the response_format verbose_json")
    return frozenset(given or ["segment"])


def _check_temperature(text: str) -> None:
    try:
        if 0 <= float(text) <= 1:
            return
    except ValueError:
        pass
    raise _bad_field("temperature", "temperature must be a number of 0 to 1; it has no effect")


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise _bad_field(name, f"{name} must be one of {', '.join(known)}", 404 if name == "model" else 400)


def _bad_field(name: str, text: str, status: int = 400) -> HTTPError:
    return HTTPError(status, text, "model_not_found" if status == 404 else "invalid_value", param=name)


class Transcriptions:
    """An ASGI application: a request's place, form and temporary files last as long as its answer."""

    def __init__(self, service: Service):
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, service = Request(scope, receive), self._service
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):  # others fill memory
            raise HTTPError(400, HOW_TO_SEND, "no_form")
        try:
            with service.place("file"), service.metrics.took.time():
                async with request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES) as form:
                    wanted = TranscriptionRequest.of(_fields(form), service.model)
                    async with playable(_file(form), service.limits, service.conversions) as (path, warning):
                        job = service.files.add(Job(path, service.limits.duration, warning))
                        await self._answer(job, wanted, scope, receive, send)
        except HTTPException as error:  # starlette's, about the form
            reason = error.detail.rstrip(".")
            raise HTTPError(400, f"the form cannot be read ({reason}): {HOW_TO_SEND}", "form") from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise  # the client has gone
            raise HTTPError(503, "the server has no room for this upload: try again later", "disk", RETRY_S) from None

    async def _answer(self, job: Job, wanted: TranscriptionRequest, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if wanted.stream:
                segments = aiter(job)
                first = await anext(segments, None)  # what is wrong with a file is mostly known by then
                events = self._events(job, first, segments)
                await StreamingResponse(events, media_type="text/event-stream")(scope, receive, send)
            elif transcript := await unless(_gone(receive), _finished(job)):
                self._service.log(transcript.text)
                await _response(transcript, wanted)(scope, receive, send)
        finally:
            job.cancelled = True

    async def _events(self, job: Job, first: Segment | None, rest: AsyncIterator[Segment]) -> AsyncIterator[bytes]:
        try:
            if first:
                yield _event({"type": "transcript.text.delta", "delta": first.text})
            async for segment in rest:
                yield _event({"type": "transcript.text.delta", "delta": f" {segment.text}"})
        except HTTPError as error:  # the status has gone out already
            yield _event(error_body(error))
            return
        self._service.log(job.transcript.text)
        yield _event({"type": "transcript.text.done", **_plain(job.transcript)})
        yield b"data: [DONE]\n\n"


def error_body(error: HTTPError) -> dict:
    """An error in the form of the OpenAI API."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.text, "type": kind, "param": error.param, "code": error.reason}}


def _fields(form: FormData) -> list[tuple[str, str | UploadFile]]:
    return [(name.lower(), value) for name, value in form.multi_items()]


def _file(form: FormData) -> Any:
    """The upload, open. Raises HTTPError."""
    found = [value for name, value in _fields(form) if name == "file"]
    if not found:
        raise HTTPError(400, f"the request has no file: {HOW_TO_SEND}", "no_file", param="file")
    if isinstance(found[0], str):
        raise HTTPError(400, f"the field 'file' is a text and no file: {HOW_TO_SEND}", "no_file", param="file")
    return found[0].file


async def _finished(job: Job) -> Transcript:
    async for _ in job:
        pass
    return job.transcript


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def captions(request: Request) -> Response:
    """POST /v1/captions: words that are known already, as text, srt or vtt; the page saves what it shows.

    The body is JSON: `response_format`, and `segments`, lists of words with `text`, `start` and `end` in s.
    Raises HTTPError.
    """
    length = request.headers.get("content-length", "")
    if not (length.isdecimal() and int(length) <= MAX_WORDS_BYTES):
        raise HTTPError(413, f"send words with a Content-Length of at most {MAX_WORDS_BYTES} bytes", "size")
    try:
        content = json.loads(await request.body())
        segments = [[_known_word(**word) for word in words] for words in content["segments"]]
        format = CAPTIONS[content["response_format"]]
    except (LookupError, RecursionError, TypeError, ValueError):
        text = "send JSON: response_format (text, srt or vtt), and segments, lists of words with text, start and end"
        raise HTTPError(400, text, "invalid_value") from None
    spoken = tuple(Segment(words[0].start, words[-1].end, tuple(words)) for words in segments if words)
    return _captions(Transcript("words", 0.0, spoken), format)


def _known_word(text: str, start: float, end: float, **_: object) -> Word:
    """Raises TypeError, ValueError."""
    if not (isinstance(text, str) and 0 <= start <= end < math.inf):
        raise ValueError
    return Word(text, float(start), float(end), 1.0)


def _captions(transcript: Transcript, format: str) -> Response:
    text = io.StringIO()
    FORMATS[format].write(transcript, text)
    headers = {"X-Warning": transcript.warning.encode("ascii", "replace").decode()} if transcript.warning else {}
    return PlainTextResponse(text.getvalue(), headers=headers)


def _response(transcript: Transcript, wanted: TranscriptionRequest) -> Response:
    if wanted.format in CAPTIONS:
        return _captions(transcript, CAPTIONS[wanted.format])
    return JSONResponse(_plain(transcript) if wanted.format == "json" else _verbose(transcript, wanted.granularities))


def _plain(transcript: Transcript) -> dict:
    found = {"text": transcript.text, "usage": {"type": "duration", "seconds": math.ceil(transcript.duration)}}
    return found | ({"warning": transcript.warning} if transcript.warning else {})


def _verbose(transcript: Transcript, granularities: frozenset[str]) -> dict:
    head = {"task": "transcribe", "language": "english", "duration": round(transcript.duration, 3)}
    found = head | _plain(transcript)
    if "segment" in granularities:
        found["segments"] = [_segment(i, s) for i, s in enumerate(transcript.segments)]
    if granularities == {"word", "segment"}:
        for segment, shown in zip(transcript.segments, found["segments"]):
            shown["written"] = [fields(piece) for piece in segment.written or segment.words]
    if "word" in granularities:
        found["words"] = [_word(w) for s in transcript.segments for w in s.words]
    return found


def _segment(number: int, segment: Segment) -> dict:
    text, logs = segment.text, [math.log(max(MIN_CONFIDENCE, word.confidence)) for word in segment.words]
    return {
        "id": number,
        "seek": round(100 * segment.start),
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": text,
        "spoken": segment.spoken,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": fmean(logs) if logs else 0.0,
        "compression_ratio": len(text.encode()) / len(zlib.compress(text.encode())),
        "no_speech_prob": 0.0,  # voice activity detection has removed what is no speech
    }


def _word(word: Word) -> dict:
    times = {"start": round(word.start, 3), "end": round(word.end, 3)}
    return {"word": word.text, **times, "confidence": round(word.confidence, 3)}


def _event(content: dict) -> bytes:
    """One of the events of a streamed answer (server-sent events)."""
    return f"data: {json.dumps(content)}\n\n".encode()
