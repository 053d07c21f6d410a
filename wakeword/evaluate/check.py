"""How well does a detector hear me? Ten sayings and a minute of talk, each with its highest score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from wakeword.detector import AFTERWARDS
from wakeword.evaluate.clips import EvaluationError, Recording
from wakeword.listen import Recorder, utterances
from wakeword.scoring import Scorer, detections, trace, wilson

BEFORE = np.zeros(SAMPLE_RATE, np.float32)
BAR = 40  # characters
SAID, TALK = "said", "talk"  # folders of what is recorded


@dataclass(frozen=True)
class Check:
    """The scores of sayings and of talk."""

    names: list[str]  # of the sayings' files
    said: list[float]  # the highest score of each
    talk: list[np.ndarray]  # the scores (steps,) of each recording of talk
    minutes: float  # of talk
    scorer: Scorer

    def missed(self, threshold: float) -> int:
        return sum(score < threshold for score in self.said)

    def alarms(self, threshold: float) -> int:
        return sum(len(detections(self.scorer, scores, threshold)) for scores in self.talk)

    def lines(self) -> Iterator[str]:
        """What was heard, drawn, and what other thresholds would have made of it."""
        own = self.scorer.options.threshold
        for name, score in zip(self.names, self.said):
            yield f"{name:16.16} {bar(score, own)} {score:.2f}{'' if score >= own else '  missed'}"
        loudest = max((float(scores.max(initial=0)) for scores in self.talk), default=0.0)
        yield f"{'talk, highest':16} {bar(loudest, own)} {loudest:.2f}{'  false alarm' if loudest >= own else ''}"
        yield f"at its threshold, {own:.3f}: {self.at(own)}"
        table = self.scorer.card.get("thresholds", {})
        for rate, threshold in sorted(table.items(), key=lambda pair: float(pair[0])):
            if threshold != own:
                yield f"with --rate {rate}, {threshold:.3f}: {self.at(threshold)}"

    def at(self, threshold: float) -> str:
        missed, count, alarms = self.missed(threshold), len(self.said), self.alarms(threshold)
        low, high = wilson(missed / count, count)
        return (
            f"{missed} of {count} missed (so {100 * low:.0f} to {100 * high:.0f} % of all that you say), "
            f"{alarms} false alarm{'s' * (alarms != 1)} in {self.minutes:.1f} min of talk"
        )


def check(scorer: Scorer, said: Sequence[Recording], talk: Sequence[Recording]) -> Check:
    """Score recordings of the phrase, one each, and of anything else. Raises EvaluationError, AudioError."""
    if not said or not talk:
        raise EvaluationError("give recordings of the phrase, and some of talk without it")
    best = [float(_trace(scorer, audio.blocks(file.path))[0].max(initial=0)) for file in said]
    traces = [_trace(scorer, audio.blocks(file.path)) for file in talk]
    minutes = sum(seconds for _, seconds in traces) / 60
    return Check([Path(file.path).name for file in said], best, [scores for scores, _ in traces], minutes, scorer)


def _trace(scorer: Scorer, blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, float]:
    """The scores of a recording with silence around it, and the seconds of the recording."""
    scores, seconds = trace(scorer, chain([BEFORE], blocks, [AFTERWARDS]))
    return scores, seconds - (len(BEFORE) + len(AFTERWARDS)) / SAMPLE_RATE


def bar(score: float, threshold: float) -> str:
    """A score in 0..1 as a bar, with a mark at the threshold."""
    cells = ["█" if i < round(score * BAR) else "·" for i in range(BAR)]
    cells[min(BAR - 1, round(threshold * BAR))] = "│"
    return "".join(cells)


def first_seconds(blocks: Iterable[np.ndarray], seconds: float) -> np.ndarray:
    """Blocks (n,) without end -> the first so many seconds of them."""
    parts, left = [], round(seconds * SAMPLE_RATE)
    for block in blocks:
        parts.append(block[:left])
        left -= len(parts[-1])
        if not left:
            break
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def record(
    folder: Path,
    phrase: str,
    blocks: Iterable[np.ndarray],
    say: Callable[[str], object],
    times: int = 10,
    talk: float = 60,
) -> None:
    """Ask at the microphone for sayings, then for ``talk`` s of anything else, and write both into ``folder``."""
    blocks, recorder = iter(blocks), Recorder(folder / SAID)
    say(f'say "{phrase}" {times} times, as you would at home, with a pause after each')
    for number, samples in enumerate(islice(utterances(blocks), times), start=1):
        recorder.save(samples)
        say(f"{number} of {times}")
    say(f"now talk for {talk:.0f} s of anything else, or let the radio talk")
    Recorder(folder / TALK).save(first_seconds(blocks, talk))
