"""Speech recognition: a spectrogram front-end, a BiGRU acoustic model trained with CTC, a search.

import asr
transcript = asr.load().transcribe("talk.mp3")
print(transcript.text, transcript.segments[0].words[0])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asr.errors import Error

if TYPE_CHECKING:
    from asr.live.listener import Listener, ListenerOptions
    from asr.recognizer import Recognizer, RecognizerOptions, load
    from asr.search.decoder import DecoderOptions

__version__ = "0.1.0"
__all__ = ["DecoderOptions", "Error", "Listener", "ListenerOptions", "Recognizer", "RecognizerOptions", "load"]


def __getattr__(name: str) -> Any:
    """The recogniser is imported when it is first asked for: commands that do without it start faster."""
    if name in __all__:
        from asr import recognizer
        from asr.live import listener

        return getattr(listener if name.startswith("Listener") else recognizer, name)
    raise AttributeError(f"module 'asr' has no attribute {name!r}")
