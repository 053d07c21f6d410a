"""benchmarks.growth: the number of live transcriptions in one process."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.live.listener import Listener
from asr.recognizer import load
from benchmarks import measure
from benchmarks.streams import measured, sound, transcriptions

SECONDS = 10.0  # of each stream


def by_number(numbers: Sequence[int], _: Path, options: argparse.Namespace) -> Iterator[dict]:
    """All streams bring a block of 80 ms at the same time; see benchmarks.streams."""
    manifest, listener = measure.rows(options.manifest), Listener(load(options.model))
    sounds = [sound(manifest, seed, SECONDS) for seed in range(max(numbers))]
    for number in numbers:  # upwards: the peak is that of the process so far
        row = measured("transcription", transcriptions(listener, number), sounds[:number], [])
        shown = {key: row[key] for key in ("cores", "ms a stream and second", "greatest lag s")}
        yield {"streams": number} | shown | {"peak MB": measure.peak(), "failure": ""}
