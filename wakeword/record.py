"""`wakeword record`: what is said at the microphone, one wav file for each utterance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.audio.samples import SlidingBuffer, clean_samples
from asr.audio.vad import Segmenter, SegmenterOptions, VoiceActivity

HOP_SAMPLES = SAMPLE_RATE // 100  # samples of a log-mel frame
MAX_UTTERANCE_S = 6.0  # s of an utterance; longer ones are cut


def utterances(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks of samples (n,) float32 at 16 kHz -> each utterance with a little silence around it."""
    activity, segmenter = VoiceActivity(LogMel()), Segmenter(SegmenterOptions(max_length=MAX_UTTERANCE_S))
    state, recent = activity.start(), SlidingBuffer()
    for block in blocks:
        block, _ = clean_samples(block)
        recent.append(block)
        found, state = activity.feed(block, state)
        for span in segmenter.feed(found.probabilities):
            yield recent.rows(span.start * HOP_SAMPLES, span.end * HOP_SAMPLES)
        recent.forget(segmenter.keep_from * HOP_SAMPLES)


class Recorder:
    """Writes recordings into a folder, numbered on from what is there already."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, samples: np.ndarray) -> Path:
        numbers = [int(p.stem) for p in self.folder.glob("*.wav") if p.stem.isdecimal()]
        path = self.folder / f"{max(numbers, default=0) + 1:03d}.wav"
        soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
        return path
