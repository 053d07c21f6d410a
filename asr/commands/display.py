"""What a live listener writes: settled sentences, and on a terminal a line that is redrawn as they grow."""

from __future__ import annotations

import json
import shutil
from typing import TextIO

from asr.live.meter import METER_FLOOR_DB, bar
from asr.live.stream import Result
from asr.transcript import fields

ERASE, DIM, PLAIN = "\r\x1b[K", "\x1b[2m", "\x1b[0m"


class Display:
    """Results go to `out`: txt is a line for each sentence, json an object on a line for each result, partials too.

    Where `live` is a terminal it shows the loudness and the sentence so far, what may still change in grey;
    elsewhere only what is said to it.
    """

    def __init__(self, out: TextIO, live: TextIO, format: str = "txt"):
        self._out, self._live, self._format = out, live, format
        self._redraws = live.isatty()
        self._loudness, self._text, self._stable = METER_FLOOR_DB, "", ""

    def result(self, result: Result) -> None:
        self._text, self._stable = (result.text, result.stable) if result.kind == "partial" else ("", "")
        line = as_json(result) if self._format == "json" else result.text * (result.kind == "final")
        if line:
            self._erase()
            print(line, file=self._out, flush=True)
        self._draw()

    def loudness(self, decibels: float) -> None:
        """Of the newest block."""
        self._loudness = decibels
        self._draw()

    def say(self, text: str) -> None:
        """A line to the user, beside the results."""
        self._erase()
        print(text, file=self._live, flush=True)
        self._draw()

    def close(self) -> None:
        self._erase()
        self._redraws = False

    def _erase(self) -> None:
        if self._redraws:
            self._live.write(ERASE)
            self._live.flush()

    def _draw(self) -> None:
        if self._redraws:
            width = shutil.get_terminal_size().columns
            self._live.write(ERASE + live_line(self._loudness, self._text, self._stable, width))
            self._live.flush()


def live_line(decibels: float, text: str, stable: str, width: int) -> str:
    """The meter and as much of the text's end as fits a terminal of that width."""
    meter = f"[{bar(decibels)}] "
    over = len(text) - max(0, width - 1 - len(meter))
    if over > 0:
        text, stable = text[over:], stable[over:]
    return meter + stable + DIM + text[len(stable) :] + PLAIN


def as_json(result: Result) -> str:
    """ASCII, so that no terminal can break it; times in seconds of the stream."""
    content = {name: getattr(result, name) for name in ("kind", "segment", "text", "stable", "endpoint")}
    content |= {"time": round(result.time, 3), "lag": round(result.lag, 3)}
    content["words"] = [fields(word) for word in result.words]
    return json.dumps(content | ({"alternatives": result.alternatives} if result.alternatives else {}))
