"""The fields of a transcription request, as the OpenAI API names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asr.serve.service import ALIASES, HTTPError

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = ("word", "segment")


@dataclass(frozen=True)
class TranscriptionRequest:
    format: str = "json"
    granularities: frozenset[str] = frozenset({"segment"})  # of verbose_json
    stream: bool = False

    @staticmethod
    def of(form: Any, model: str) -> TranscriptionRequest:
        """Starlette's form -> what is wanted. `prompt` and `temperature` have no effect. Raises HTTPError."""
        texts = {key: value for key, value in form.multi_items() if isinstance(value, str)}
        format = texts.get("response_format") or "json"
        _one_of("response_format", format, FORMATS)
        _one_of("model", texts.get("model") or model, (model, *ALIASES))
        if texts.get("language", "en").lower()[:2] not in ("", "en"):
            raise _bad("language", "this model knows English only: leave language out, or send 'en'")
        _check_temperature(texts.get("temperature") or "0")
        stream = texts.get("stream", "false").lower() or "false"
        _one_of("stream", stream, ("true", "false", "1", "0"))
        if stream in ("true", "1") and format not in ("json", "text"):
            raise _bad("stream", f"an answer in {format} cannot be streamed: ask for json")
        return TranscriptionRequest(format, _granularities(form, format), stream in ("true", "1"))


def _granularities(form: Any, format: str) -> frozenset[str]:
    names = ("timestamp_granularities[]", "timestamp_granularities")
    given = [value for name in names for value in form.getlist(name)]
    for value in given:
        _one_of(names[1], value, GRANULARITIES)
    if given and format != "verbose_json":
        raise _bad(names[1], "timestamp_granularities need the response_format verbose_json")
    return frozenset(given or ["segment"])


def _check_temperature(text: str) -> None:
    try:
        if 0 <= float(text) <= 1:
            return
    except ValueError:
        pass
    raise _bad("temperature", "temperature must be a number of 0 to 1; it has no effect")


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise _bad(name, f"{name} must be one of {', '.join(known)}", 404 if name == "model" else 400)


def _bad(name: str, text: str, status: int = 400) -> HTTPError:
    return HTTPError(status, text, "model_not_found" if status == 404 else "invalid_value", param=name)
