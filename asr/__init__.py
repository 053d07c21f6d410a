"""Speech recognition: a spectrogram front-end, a BiGRU acoustic model trained with CTC, a search.

import asr
transcript = asr.load().transcribe("talk.mp3")
print(transcript.text, transcript.segments[0].words[0])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asr.errors import Error

if TYPE_CHECKING:
    from asr.live import Listener, ListenerOptions
    from asr.recognizer import Recognizer, RecognizerOptions, load
    from asr.search.decoder import decoder
    from asr.search.options import DecoderOptions
    from asr.written import WrittenOptions
    from asr.written.writer import Writer

__version__ = "0.2.0"
_HOMES = {
    "DecoderOptions": "asr.search.options",
    "Listener": "asr.live",
    "ListenerOptions": "asr.live",
    "Recognizer": "asr.recognizer",
    "RecognizerOptions": "asr.recognizer",
    "Writer": "asr.written.writer",
    "WrittenOptions": "asr.written",
    "decoder": "asr.search.decoder",
    "load": "asr.recognizer",
}
__all__ = [
    "DecoderOptions",
    "Error",
    "Listener",
    "ListenerOptions",
    "Recognizer",
    "RecognizerOptions",
    "Writer",
    "WrittenOptions",
    "decoder",
    "load",
]


def __getattr__(name: str) -> Any:
    """What the package offers is imported when it is first asked for: commands that do without it start faster."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'asr' has no attribute {name!r}")
