"""POST /v1/audio/transcriptions: a file in, its text out, as the OpenAI API has it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from asr.serve import answers
from asr.serve.files import Job, UploadError
from asr.serve.request import TranscriptionRequest
from asr.serve.service import RETRY_S, HTTPError, Service
from asr.serve.uploads import playable
from asr.transcript import Segment, Transcript

FIELDS, FIELD = 40, 64_000  # fields of a form, and bytes of one


class Transcriptions:
    """An ASGI application: a request's place, form and temporary files last as long as its answer."""

    def __init__(self, service: Service):
        self._service = service

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        request, service = Request(scope, receive), self._service
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):  # others fill the memory
            raise HTTPError(400, "send the audio as the field 'file' of a form of type multipart/form-data", "no_form")
        try:
            with service.place("file"), service.metrics.transcription():
                async with request.form(max_files=1, max_fields=FIELDS, max_part_size=FIELD) as form:
                    wanted = TranscriptionRequest.of(form, service.model)
                    async with playable(_file(form).file, service) as path:
                        await self._answer(path, wanted, scope, receive, send)
        except UploadError as error:
            raise HTTPError(error.status, str(error), "invalid_file", param="file") from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise  # the client has gone
            raise HTTPError(503, "the server has no room for this upload: try again later", "disk", RETRY_S) from None

    async def _answer(self, path: str, wanted: TranscriptionRequest, scope: dict, receive: Any, send: Any) -> None:
        job = self._service.files.add(Job(path, self._service.limits.duration))
        try:
            if wanted.stream:
                segments = aiter(job)
                first = await anext(segments, None)  # what is wrong with a file is mostly known by then
                response = StreamingResponse(self._events(job, first, segments), media_type="text/event-stream")
            else:
                response = await self._whole(job, wanted, receive)
            if response:
                await response(scope, receive, send)
        finally:
            job.cancelled = True

    async def _whole(self, job: Job, wanted: TranscriptionRequest, receive: Any) -> Response | None:
        """None when the client has gone away meanwhile."""
        finished, gone = asyncio.ensure_future(_finished(job)), asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({finished, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not finished.done():
                return None
            transcript = finished.result()
        finally:
            finished.cancel()
            gone.cancel()
        self._service.said(transcript.text)
        return _response(transcript, wanted)

    async def _events(self, job: Job, first: Segment | None, rest: AsyncIterator[Segment]) -> AsyncIterator[bytes]:
        try:
            if first:
                yield answers.event(answers.delta(first.text))
            async for segment in rest:
                yield answers.event(answers.delta(f" {segment.text}"))
        except UploadError as error:  # the status has gone out already
            content = {"message": str(error), "type": "invalid_request_error", "param": "file", "code": "invalid_file"}
            yield answers.event({"error": content})
            return
        self._service.said(job.transcript.text)
        yield answers.event(answers.done(job.transcript))
        yield b"data: [DONE]\n\n"


def _file(form: Any) -> UploadFile:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise HTTPError(
            400, "the request has no file: send the audio as the form's field 'file'", "no_file", param="file"
        )
    return file


async def _finished(job: Job) -> Transcript:
    async for _ in job:
        pass
    return job.transcript


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _response(transcript: Transcript, wanted: TranscriptionRequest) -> Response:
    if wanted.format in answers.TEXTS:
        return PlainTextResponse(answers.TEXTS[wanted.format](transcript))
    if wanted.format == "verbose_json":
        return JSONResponse(answers.verbose(transcript, wanted.granularities))
    return JSONResponse(answers.plain(transcript))
