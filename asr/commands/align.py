"""The command `asr align`: when each word of a known text was said."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, TextIO

from asr import audio
from asr.align.recording import Token, tokens
from asr.commands.terminal import add_model, fail, say
from asr.files import read_text
from asr.transcript import FORMATS, Segment, Transcript, Word, Writer

if TYPE_CHECKING:
    import numpy as np

    from asr.align.recording import Stretch
    from asr.align.segment import WordAligner
    from asr.recognizer import Recognizer

DOUBT = 0.5  # a word less sure than this may not have been said; so may a text, by the mean of its words
QUOTED = 8  # words of a warning


class WordTable(Writer):
    """Tab-separated: start and end in seconds, confidence, word."""

    def write(self, transcript: Transcript, file: TextIO) -> None:
        file.write("start\tend\tconfidence\tword\n")
        for word in (w for s in transcript.segments for w in s.words):
            file.write(f"{word.start:.3f}\t{word.end:.3f}\t{word.confidence:.3f}\t{word.text}\n")


WRITERS = {"table": WordTable(), **FORMATS}


def add_align(p: argparse.ArgumentParser) -> None:
    p.description = "Find when each word of a known text was said in a recording of any length."
    p.add_argument("audio", metavar="AUDIO", help="audio or video file, or - for standard input")
    p.add_argument("text", metavar="TEXT", help="file with the text as it is said, or - for standard input")
    p.add_argument("--format", choices=WRITERS, default="table", help="of the result (default: table, of words)")
    add_model(p)
    p.set_defaults(run=align)


def align(options: argparse.Namespace) -> int:
    """Exit status 0 when the text was found in the audio, 1 when it was not or the audio is bad, 2 on a bad start."""
    if options.audio == options.text == audio.STDIN:
        return fail("audio and text cannot both be standard input: give one of them as a file")
    script = tokens(read_text(options.text))
    from asr.align.words import AlignError
    from asr.recognizer import load

    recognizer = load(options.model)
    try:
        found = _aligned(recognizer, options.audio, script)
    except (audio.AudioError, AlignError) as error:
        say(f"error: {error}")
        return 1
    WRITERS[options.format].write(found, sys.stdout)
    sys.stdout.flush()
    return _judge(found)


def _aligned(recognizer: Recognizer, path: str, script: list[Token]) -> Transcript:
    """The text's words with their times. Raises asr.audio.files.AudioError, asr.align.words.AlignError."""
    from asr.align.recording import align_speech

    recording = audio.Recording(path)
    stretches = speech(recognizer, recording.blocks())
    said = [word for token in script for word in token.said]
    segments = tuple(_segments(align_speech(stretches, said, recognizer.aligner), script, recognizer.aligner))
    problems = [text for text in (recording.warning, _unsaid(segments, path)) if text]
    return Transcript(path, recording.seconds, segments, "; ".join(problems))


def speech(recognizer: Recognizer, blocks: Iterable[np.ndarray]) -> list[Stretch]:
    """Blocks of samples (n,) float32 at 16 kHz -> where they have speech, without words.

    Only the model's outputs are kept: 28 MB for an hour of speech.
    """
    from asr.align.recording import Stretch
    from asr.align.words import loudness

    return [
        Stretch(piece.start, posteriors, loudness(piece.own)) for piece, posteriors in recognizer.posteriors(blocks)
    ]


def _segments(stretches: Sequence[Stretch], script: list[Token], aligner: WordAligner) -> Iterator[Segment]:
    """For each stretch of speech its words as they are written."""
    from asr.align.segment import ALIGNED

    said = [
        (number, word)
        for number, s in enumerate(stretches)
        for word in aligner.to_seconds(s.words, s.start, aligner.confidence(ALIGNED, s.words))
    ]
    written: defaultdict[int, list[Word]] = defaultdict(list)
    at = 0
    for token in script:
        parts = said[at : at + len(token.said)]
        at += len(parts)
        sure = fmean(word.confidence for _, word in parts)
        written[parts[0][0]].append(Word(token.written, parts[0][1].start, parts[-1][1].end, sure))
    for words in written.values():
        yield Segment(words[0].start, words[-1].end, tuple(words))


def _unsaid(segments: Sequence[Segment], path: str) -> str:
    """What to say where the whole text does not seem to be in the audio."""
    words = [w for s in segments for w in s.words]
    if fmean(w.confidence for w in words) >= DOUBT:
        return ""
    low = sum(w.confidence < DOUBT for w in words)
    return f"the text does not seem to be what is said in {path}: {low} of {len(words)} words were not heard there"


def _judge(found: Transcript) -> int:
    """Say what is wrong with the result -> the exit status."""
    if found.warning:
        say(f"error: {found.warning}")
        return 1
    words = [w for s in found.segments for w in s.words]
    runs = [list(run) for low, run in groupby(words, lambda w: w.confidence < DOUBT) if low]
    if runs:
        longest = max(runs, key=len)
        quoted = " ".join(w.text for w in longest[:QUOTED]) + " ..." * (len(longest) > QUOTED)
        say(
            f"warning: {sum(map(len, runs))} of {len(words)} words may not have been said; "
            f'most in a row at {longest[0].start:.1f} s: "{quoted}"'
        )
    return 0
