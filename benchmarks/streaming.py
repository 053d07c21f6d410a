"""A live listener on real clips: word error rate against latency, and how late words and final texts come.

    python -m benchmarks.streaming DATA/speech/dev.jsonl

writes streaming.csv, .md and .png. The clock is simulated from CPU time, so a busy machine disturbs little. Of every
latency the row is that of a single pass; the last row, at 320 ms, hears each sentence again as a whole at its end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.align.words import AlignError, loudness
from asr.live import Listener
from asr.live.stream import Result
from asr.live.utterance import EndpointOptions, ListenerOptions
from asr.model.interface import Latency
from asr.recognizer import Recognizer, RecognizerOptions, load
from asr.text import normalise
from asr.transcript import Word
from benchmarks import measure
from benchmarks.clips import RATE, Joined, count, difference, streams, summary

NEAR = 0.3  # s between two alignments of a word, at most
LATENCIES = [1280.0, 640.0, 520.0, 320.0, 160.0]  # ms; 520: 400 of them look ahead
QUANTILES = 50, 95  # %
FULL = "full context"
TWICE = ", two passes"


class Shown(NamedTuple):
    """A result, and when a user could see it: s of the stream."""

    result: Result
    at: float


class Delay(NamedTuple):
    """Of a word of a final text, s of the stream."""

    word: Word
    first: float  # when it was first shown at its place
    settled: float  # from when on it was always there, up to the final text
    with_final: bool  # no partial text had it at its place
    reached: float  # when a text first had as many words, right or not


def run(listener: Listener, blocks: Iterable[np.ndarray], rate: int) -> tuple[list[Shown], float]:
    """All results of a stream, and the CPU seconds it took.

    The clock is simulated, so that other work on the machine does not count: a block comes when its last sample
    has been said, is begun when the one before is done, and takes the CPU time that it takes.
    """
    stream, shown, heard, done, spent = listener.stream(), [], 0, 0.0, 0.0
    for block in blocks:
        heard += len(block)
        began = time.process_time()
        results = stream.feed(block)
        cost = time.process_time() - began
        spent, done = spent + cost, max(done, heard / rate) + cost
        shown += [Shown(result, done) for result in results]
    return shown + [Shown(result, done) for result in stream.flush()], spent


def delays(shown: Sequence[Shown]) -> list[Delay]:
    """Of every word of the final texts."""
    found = []
    for final in (s for s in shown if s.result.kind == "final"):
        same = [s for s in shown if s.result.segment == final.result.segment and s.result.kind == "partial"]
        words = final.result.text.split()
        seen = [(s.at, standing(s.result.text.split(), words)) for s in [*same, final]]
        for k, word in enumerate(final.result.words):
            times = [at for at, there in seen if k in there]
            gone = max((at for at, there in seen if k not in there), default=-np.inf)
            reached = next(s.at for s in [*same, final] if len(s.result.text.split()) > k)
            found.append(Delay(word, times[0], min(at for at in times if at > gone), len(times) == 1, reached))
    return found


def changes(shown: Sequence[Shown]) -> int:
    """How many shown words were replaced by others, or taken away."""
    changed, before = 0, {}
    for result in (s.result for s in shown if s.result.kind != "nothing"):
        words = result.text.split()
        old = before.get(result.segment, [])
        changed += len(old) - sum(a == b for a, b in zip(old, words))
        before[result.segment] = words
    return changed


def standing(partial: Sequence[str], final: Sequence[str]) -> set[int]:
    """The numbers of the final words that a partial text has at their places.

    Their places: the partial text is laid over the beginning of the final one that is closest to it.
    """
    beginnings = [Levenshtein.distance(partial, final[:n]) for n in range(len(final) + 1)]
    beginning = final[: int(np.argmin(beginnings))]
    pairs = Levenshtein.opcodes(partial, beginning)
    return {k for p in pairs if p.tag == "equal" for k in range(p.dest_start, p.dest_end)}


def right(found: Sequence[Delay], reference: Sequence[Word]) -> list[tuple[Delay, float]]:
    """The delays of the words that are right, with the time at which the reference's word ends."""
    pairs = Levenshtein.opcodes([d.word.text for d in found], [w.text for w in reference])
    both = [
        (found[p.src_start + i], reference[p.dest_start + i])
        for p in pairs
        if p.tag == "equal"
        for i in range(p.src_end - p.src_start)
    ]
    return [(d, w.end) for d, w in both if w.start - NEAR < d.word.end and d.word.start < w.end + NEAR]


def main() -> int:
    options = parser().parse_args()
    machine, recognizer = measure.machine(), load(options.model, RecognizerOptions(written=None))
    sounds = streams(measure.rows(options.manifest)[:: options.every], options.clips, options.seed)
    said = [reference(recognizer, sound) for sound in sounds]
    whole, wrong = full_context(recognizer, sounds)
    rows = [whole]
    for wanted in [*(ListenerOptions(ms, second_pass=False) for ms in options.latencies), ListenerOptions()]:
        rows.append(live(Listener(recognizer, wanted), sounds, said, wrong))
        print(f"{rows[-1]['latency']} done", file=sys.stderr, flush=True)
    report(rows, sounds, machine, options)
    return 0


def parser() -> argparse.ArgumentParser:
    top = measure.parser(__doc__, "audio_filepath, duration, text")
    top.add_argument("--latencies", type=float, nargs="+", default=LATENCIES, metavar="MS")
    top.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth clip (default: all)")
    top.add_argument("--clips", type=int, default=10, metavar="N", help="joined to a stream (default: 10)")
    top.add_argument("--seed", type=int, default=1, help="of the order of the clips and of the pauses")
    return top


def reference(recognizer: Recognizer, sound: Joined) -> list[list[Word]]:
    """When each word of each clip was said: the forced alignment of its reference, with full context."""
    found = []
    for row, start, end in zip(sound.rows, sound.starts, sound.ends):
        frames = recognizer.model.frontend(sound.samples[round(start * RATE) : round(end * RATE)])
        posteriors = recognizer.log_probs([frames])[0]
        try:
            found.append(list(recognizer.aligner.timed(normalise(row["text"]), posteriors, start, loudness(frames))))
        except AlignError:  # more words than its sound has room for
            found.append([])
    return found


def full_context(recognizer: Recognizer, sounds: Sequence[Joined]) -> tuple[dict, np.ndarray]:
    """The same streams as files, with the endpoints of a stream: the row of the table, the errors of each clip."""
    settings = replace(recognizer.options, segments=EndpointOptions().segments())
    whole = Recognizer(recognizer.model, recognizer.aligner, settings)
    texts = [by_clip(s, [word for found in whole.segments([s.samples]) for word in found.words]) for s in sounds]
    wrong, total = errors(sounds, texts)
    return {"latency": FULL, **summary("WER", wrong, total)}, wrong


def live(listener: Listener, sounds: Sequence[Joined], said: Sequence[list[list[Word]]], whole: np.ndarray) -> dict:
    """One row: the listener over all streams, one at a time."""
    runs = [run(listener, sound.blocks(), RATE) for sound in sounds]
    everything = [shown for shown, _ in runs]
    wrong, total = errors(sounds, [by_clip(sound, words(shown)) for sound, shown in zip(sounds, everything)])
    gap = "{:.1f} ({:.1f} to {:.1f})".format(*difference(wrong, whole, total))
    options = listener.recognizer.model.options
    latency, frame = Latency.of(listener.options.latency, options), round(1000 * options.frame_seconds)
    name = f"{frame * (latency.chunk + latency.ahead)} ms" + TWICE * listener.options.second_pass
    row = {"latency": name, "look-ahead ms": frame * latency.ahead}
    row |= summary("WER", wrong, total)
    row |= {"more errors %": 100 * (wrong.sum() / whole.sum() - 1), "points more": gap}
    found = [delays(shown) for shown in everything]
    row |= of_words("right", [pair for pairs in map(spoken, sounds, found, said) for pair in pairs])
    row |= of_words("all", [(delay, delay.word.end) for some in found for delay in some])
    row["changes a word"] = sum(map(changes, everything)) / sum(map(len, found))
    finals = [s for shown in everything for s in shown if s.result.endpoint == "silence" and s.result.text]
    row |= quantiles("final after endpoint", [s.at - s.result.time for s in finals])
    row |= quantiles("final after last word", [s.at - s.result.words[-1].end for s in finals])
    return row | {"CPU s per audio s": sum(spent for _, spent in runs) / sum(sound.seconds for sound in sounds)}


def spoken(sound: Joined, found: Sequence[Delay], said: Sequence[list[Word]]) -> list[tuple[Delay, float]]:
    """The words that are right, with the ends of the reference's."""
    clips: list[list[Delay]] = [[] for _ in said]
    for delay in found:
        clips[sound.clip(delay.word.start)].append(delay)
    return [pair for some, reference in zip(clips, said) for pair in right(some, reference)]


def of_words(name: str, found: Sequence[tuple[Delay, float]]) -> dict[str, float]:
    """Columns: how long after a word's end it was first shown, and settled; how many came with the final text only."""
    first = quantiles(f"{name}: shown", [d.first - end for d, end in found])
    settled = quantiles(f"{name}: settled", [d.settled - end for d, end in found])
    late = 100 * float(np.mean([d.with_final for d, _ in found]))
    reached = quantiles(f"{name}: reached", [d.reached - end for d, end in found])
    return {f"{name}: words": len(found), **first, **settled, **reached, f"{name}: with final only %": late}


def quantiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name} {q} % s": float(np.percentile(seconds, q)) for q in QUANTILES}


def words(shown: Sequence[Shown]) -> list[Word]:
    """Of the final texts."""
    return [word for s in shown if s.result.kind == "final" for word in s.result.words]


def by_clip(sound: Joined, found: Sequence[Word]) -> list[str]:
    texts: list[list[str]] = [[] for _ in sound.rows]
    for word in found:
        texts[sound.clip(word.start)].append(word.text)
    return [" ".join(some) for some in texts]


def errors(sounds: Sequence[Joined], texts: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Word errors and reference words of each clip."""
    return count([row["text"] for sound in sounds for row in sound.rows], [text for some in texts for text in some])


def report(rows: list[dict], sounds: Sequence[Joined], machine: str, options: argparse.Namespace) -> None:
    clips, minutes = sum(len(s.rows) for s in sounds), sum(s.seconds for s in sounds) / 60
    text = f"{options.model}, {clips} clips in {len(sounds)} streams of {minutes:.0f} min in all. {machine}.\n\n"
    text += measure.markdown([brief(row) for row in rows])
    measure.write(options.out, "streaming", rows, text)
    draw(rows, options.out / "streaming.png")


def brief(row: dict) -> dict:
    """The columns of the Markdown table."""
    short = {"latency": row["latency"], "WER": "{WER:.1f} ({WER low:.1f} to {WER high:.1f})".format(**row)}
    short["more errors"] = f"{row['more errors %']:+.1f} %" if "more errors %" in row else ""
    columns = {
        "words shown": "right: shown",
        "any word there": "right: reached",
        "settled": "right: settled",
        "final after endpoint": "final after endpoint",
        "final after last word": "final after last word",
    }
    for title, name in columns.items():
        known = [key for q in QUANTILES if (key := f"{name} {q} % s") in row]
        short[f"{title}, s"] = ", ".join(f"{row[key]:.2f}" for key in known)
    short["changes a word"] = row.get("changes a word", "")
    return short | {"CPU s per audio s": row.get("CPU s per audio s", "")}


def draw(rows: list[dict], path: Path) -> None:
    """Word error rate, and delays of words, against latency."""
    pyplot = measure.pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    full, *lives, twice = rows
    lives.sort(key=lambda row: int(row["latency"].split()[0]))
    at, rates = [int(row["latency"].split()[0]) for row in lives], [row["WER"] for row in lives]
    bars = [[row["WER"] - row["WER low"] for row in lives], [row["WER high"] - row["WER"] for row in lives]]
    left.errorbar(at, rates, bars, fmt="o-", color="tab:red", capsize=3, label="live, one pass")
    left.plot(int(twice["latency"].split()[0]), twice["WER"], "k*", label=TWICE.strip(", "))
    left.axhline(full["WER"], color="tab:blue", label=FULL)
    left.axhspan(full["WER low"], full["WER high"], color="tab:blue", alpha=0.1)
    left.set(ylim=(0, None), ylabel="word error rate, % (95 % interval)")
    for name, colour in (("right: shown", "tab:green"), ("right: settled", "tab:orange")):
        for q, style in zip(QUANTILES, ("o-", "o--")):
            label = f"{name.split()[1]}, {'median' if q == 50 else f'{q} %'}"
            right.plot(at, [row[f"{name} {q} % s"] for row in lives], style, color=colour, label=label)
    right.set(ylim=(0, None), ylabel="s after the end of the word")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="latency of the encoder, ms", xticks=at)
        axes.set_xticklabels(map(str, at))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
