"""A transcript in the forms of the OpenAI API's answers."""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Callable
from statistics import fmean

from asr.transcript import FORMATS, Segment, Transcript, Word

MIN_CONFIDENCE = 1e-4  # confidence whose logarithm is still told


def plain(transcript: Transcript) -> dict:
    found = {"text": transcript.text, "usage": _usage(transcript)}
    return found | ({"warning": transcript.warning} if transcript.warning else {})


def verbose(transcript: Transcript, granularities: frozenset[str]) -> dict:
    head = {"task": "transcribe", "language": "english", "duration": round(transcript.duration, 3)}
    found = head | plain(transcript)
    if "segment" in granularities:
        found["segments"] = [_segment(i, s) for i, s in enumerate(transcript.segments)]
    if "word" in granularities:
        found["words"] = [_word(w) for s in transcript.segments for w in s.words]
    return found


def captions(transcript: Transcript, format: str) -> str:
    """txt, srt or vtt."""
    text = io.StringIO()
    FORMATS[format].write(transcript, text)
    return text.getvalue()


def event(content: dict) -> bytes:
    """One of the events of a streamed answer (server-sent events)."""
    return f"data: {json.dumps(content)}\n\n".encode()


def delta(text: str) -> dict:
    return {"type": "transcript.text.delta", "delta": text}


def done(transcript: Transcript) -> dict:
    return {"type": "transcript.text.done", "text": transcript.text}


def _segment(number: int, segment: Segment) -> dict:
    text = segment.text
    return {
        "id": number,
        "seek": round(100 * segment.start),
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": fmean(math.log(max(MIN_CONFIDENCE, w.confidence)) for w in segment.words)
        if segment.words
        else 0.0,
        "compression_ratio": len(text.encode()) / len(zlib.compress(text.encode())),
        "no_speech_prob": 0.0,  # what is no speech has not come as far as this
    }


def _word(word: Word) -> dict:
    times = {"start": round(word.start, 3), "end": round(word.end, 3)}
    return {"word": word.text, **times, "confidence": round(word.confidence, 3)}


def _usage(transcript: Transcript) -> dict:
    return {"type": "duration", "seconds": math.ceil(transcript.duration)}


TEXTS: dict[str, Callable[[Transcript], str]] = {  # response_format: the body
    "text": lambda t: captions(t, "txt"),
    "srt": lambda t: captions(t, "srt"),
    "vtt": lambda t: captions(t, "vtt"),
}
