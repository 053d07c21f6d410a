"""How good is a detector? Misses, clean and in noise, against false alarms an hour; delay; thresholds that hold.

All figures come from score traces (wakeword.scoring): computed once, then every threshold is tried on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr import audio
from asr.text import normalise
from wakeword.evaluate.clips import (
    NOISE,
    SPEECH,
    UNLABELLED,
    ClipOptions,
    Clips,
    EvaluationError,
    Recording,
    hear,
    recordings,
    with_phrase,
    without_phrase,
)
from wakeword.evaluate.report import COUNTED, DELAY, DELAY_95, Report, Row, write
from wakeword.scoring import (
    Point,
    Scorer,
    alarm_rate,
    allowed,
    detections,
    fixed_points,
    miss_rate,
    sweep,
    swept_points,
    trace,
)

__all__ = ["EvaluationError", "EvaluationOptions", "Report", "evaluate", "write"]

DET_RATE = 10.0  # false alarms an hour at which the DET curves end
DET_POINTS = 40


@dataclass(frozen=True)
class EvaluationOptions:
    """At which rates of false alarms misses are told. Raises EvaluationError."""

    rates: tuple[float, ...] = (0.1, 0.5, 1.0, 3.0)  # false alarms an hour for which a threshold is swept
    clips: ClipOptions = ClipOptions()

    def __post_init__(self):
        if not self.rates or min(self.rates) <= 0:
            raise EvaluationError("give at least one rate of false alarms an hour, each above 0")


def evaluate(
    scorer: Scorer,
    positives: Sequence[str | Path],
    negatives: Sequence[str | Path],
    noises: Sequence[str | Path] = (),
    options: EvaluationOptions = EvaluationOptions(),
) -> Report:
    """Measure on audio files, folders or manifests (JSONL: audio_filepath, duration, text, corpus).

    A manifest's texts choose: positives that do not say the phrase and negatives that do are left out, as is what
    cannot be read; the report says so. Rates are counted over the hours that may hold speech: hours of noise or
    silence are reported apart, unless there are no others. Raises EvaluationError when there is nothing to count.
    """
    phrase = normalise(scorer.card.get("phrase", ""))
    given, others, left_out = recordings(positives), recordings(negatives), []
    said, without = with_phrase(given, phrase), without_phrase(others, phrase)
    if len(said) < len(given):
        left_out.append(f"{len(given) - len(said)} of the positives, which do not say {phrase!r}")
    if len(without) < len(others):
        left_out.append(f"{len(others) - len(without)} of the negatives, which say {phrase!r}")
    talkers = [file for file in without if file.kind != NOISE]
    clips = hear(scorer, said, recordings(noises), options.clips, left_out, talkers)
    streams = hear_streams(scorer, without, left_out)
    return Measurement(scorer, clips, streams).report(phrase, options, left_out)


# --- recordings without the phrase ---------------------------------------------------------------


class StreamTrace(NamedTuple):
    """The scores over one source of audio without the phrase."""

    source: str
    kind: str
    scores: np.ndarray  # (steps,)
    seconds: float

    @property
    def hours(self) -> float:
        return self.seconds / 3600


def hear_streams(scorer: Scorer, files: Sequence[Recording], left_out: list[str]) -> list[StreamTrace]:
    """One stream for each source and kind, its files one after the other; bad ones are noted in ``left_out``."""
    streams = []
    for (source, kind), group in groupby(sorted(files, key=_group), _group):
        scores, seconds = trace(scorer, _played(group, left_out))
        if seconds:
            streams.append(StreamTrace(source, kind, scores, seconds))
    if not streams:
        raise EvaluationError("false alarms need recordings without the phrase: give some that can be read")
    return streams


def _group(file: Recording) -> tuple[str, str]:
    return file.source, file.kind


def _played(files: Iterable[Recording], left_out: list[str]) -> Iterator[np.ndarray]:
    for file in files:
        try:
            yield from audio.blocks(file.path)
        except audio.AudioError as error:
            left_out.append(str(error))


# --- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """Traces of clips and of streams, and what they say at a threshold."""

    scorer: Scorer
    clips: Clips
    streams: list[StreamTrace]

    @property
    def counted(self) -> list[StreamTrace]:
        """The streams that false alarms an hour are counted over."""
        return [s for s in self.streams if s.kind != NOISE] or self.streams

    def alarms(self, threshold: float) -> int:
        return sum(len(detections(self.scorer, s.scores, threshold)) for s in self.counted)

    def report(self, phrase: str, options: EvaluationOptions, left_out: list[str]) -> Report:
        hours = sum(s.hours for s in self.counted)
        scores = np.concatenate([s.scores for s in self.counted])
        lowest = sweep(scores, self.alarms, allowed(max(*options.rates, DET_RATE), hours))
        points = swept_points(lowest, options.rates, hours) + fixed_points(self.scorer)
        return Report(
            phrase,
            [self.misses(p, condition) for p in points for condition in self.clips.traces],
            [row for p in points for row in self.alarm_rows(p)],
            self.curve(lowest, hours),
            left_out,
            options.clips.late,
        )

    def misses(self, point: Point, condition: str) -> Row:
        """One operating point in one condition."""
        row: Row = {**point.columns, "condition": condition, "clips": len(self.clips.windows)}
        if not point.reached:
            return row
        hits = self.clips.hits(self.scorer, point.threshold, condition)
        missed = np.isnan(hits)
        row["missed"] = int(missed.sum())
        row |= miss_rate(missed).columns("miss %", 100)
        if missed.all():
            return row
        median, late = np.percentile((hits - self.clips.word_ends)[~missed], [50, 95])
        return row | {DELAY: float(median), DELAY_95: float(late)}

    def alarm_rows(self, point: Point) -> list[Row]:
        """One operating point on each stream, on all streams of a kind, and on all that are counted."""
        kinds = {kind: [s for s in self.streams if s.kind == kind] for kind in (SPEECH, UNLABELLED, NOISE)}
        groups = [(s.source, s.kind, [s]) for s in self.streams]
        groups += [("all", kind, streams) for kind, streams in kinds.items() if len(streams) > 1]
        return [self._alarm_row(point, *group) for group in [*groups, (COUNTED, "", self.counted)]]

    def _alarm_row(self, point: Point, source: str, kind: str, streams: list[StreamTrace]) -> Row:
        row: Row = {**point.columns, "negatives": source, "kind": kind, "hours": sum(s.hours for s in streams)}
        if not point.reached:
            return row
        times = [detections(self.scorer, s.scores, point.threshold) for s in streams]
        rate = alarm_rate(times, [s.seconds for s in streams])
        return row | {"alarms": sum(map(len, times))} | rate.columns("per hour")

    def curve(self, lowest: list[float], hours: float) -> list[Row]:
        """The DET curve of every condition, from no false alarm at all to DET_RATE an hour."""
        chosen = {0, *np.geomspace(1, max(1, len(lowest) - 1), DET_POINTS).astype(int).tolist()}
        thresholds = {lowest[k] for k in chosen if k < len(lowest)}
        rows = []
        for threshold in sorted(t for t in thresholds if t < 1):  # nan is not
            rate = self.alarms(threshold) / hours
            for condition in self.clips.traces:
                share = np.isnan(self.clips.hits(self.scorer, threshold, condition)).mean()
                rows.append(
                    {"condition": condition, "threshold": threshold, "per hour": rate, "miss %": 100 * float(share)}
                )
        return rows
