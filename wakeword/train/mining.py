"""Hard negatives: the moments at which a half-trained detector is fooled most, to be trained on more often.

Known from detection as hard-example mining (Sung & Poggio 1994; Shrivastava et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from asr.audio.features import SAMPLE_RATE, LogMel
from wakeword.train.mixing import Samples, Sounds
from wakeword.train.model import TriggerModel

BEFORE, AFTER = 2.0, 0.3  # s of a clip that are kept around the step that scored highest
ROW = 60 * SAMPLE_RATE  # samples that are scored as one stream

Place = tuple[int, int]  # number of a clip among the negatives, and the sample of its highest score


def negatives_of(sounds: Sounds) -> list[Samples]:
    """Real speech without the phrase by the minute, as places count it; near-misses are trained on often anyway."""
    clips = [*sounds.speech, *sounds.own_negatives]
    return [clip[at : at + ROW] for clip in clips for at in range(0, max(1, len(clip) - SAMPLE_RATE), ROW)]


def mine(model: TriggerModel, clips: Sequence[Samples], count: int) -> list[Place]:
    """The ``count`` places that score highest, one of a clip, highest first; each clip is (n,) samples."""
    found: list[tuple[float, Place]] = []
    for batch in _rows(clips):
        scores = _scores(model, torch.from_numpy(_frames(model, [samples for samples, _ in batch])))
        for row, (_, starts) in zip(scores, batch):
            found += [_highest(row, clip, start, len(clips[clip]), model) for clip, start in starts]
    return [place for _, place in sorted(found, reverse=True)[:count]]


def cut(clips: Sequence[Samples], places: Sequence[Place]) -> list[Samples]:
    """What lies around the places: the clips to train on."""
    before, after = int(BEFORE * SAMPLE_RATE), int(AFTER * SAMPLE_RATE)
    return [clips[clip][max(0, at - before) : at + after] for clip, at in places]


def _rows(clips: Sequence[Samples], together: int = 16) -> Iterator[list[tuple[np.ndarray, list[Place]]]]:
    """Clips joined to streams (ROW,), each with the numbers of its clips and where they begin; some at a time."""
    batch, at = [], ROW
    for number, clip in enumerate(clips):
        if at + len(clip) > ROW:
            if len(batch) == together:
                yield batch
                batch = []
            batch.append((np.zeros(ROW, np.float32), []))
            at = 0
        samples, starts = batch[-1]
        samples[at : at + len(clip)] = clip[: ROW - at]
        starts.append((number, at))
        at += len(clip) + SAMPLE_RATE // 2
    if batch:
        yield batch


def _frames(model: TriggerModel, rows: Sequence[np.ndarray]) -> np.ndarray:
    frontend = LogMel(model.options.frontend)
    return np.stack([frontend.warped(samples, 1.0) for samples in rows])


@torch.inference_mode()
def _scores(model: TriggerModel, frames: Tensor) -> np.ndarray:
    """(B, T, n_mels) -> logits (B, n)."""
    model.eval()
    logits = model(frames)[0].numpy()
    model.train()
    return logits


def _highest(row: np.ndarray, clip: int, start: int, length: int, model: TriggerModel) -> tuple[float, Place]:
    """The highest score from a clip's start to a little after its end."""
    step = model.options.step_seconds * SAMPLE_RATE
    first, last = int(start / step), min(len(row), int((start + length) / step) + 8)
    best = first + int(row[first:last].argmax())
    return float(row[best]), (clip, min(length, max(0, round(best * step) - start)))
