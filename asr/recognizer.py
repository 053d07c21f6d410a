"""From a file to a Transcript: voice activity, batches, search, alignment; bounded memory at any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from asr import audio
from asr.align.segment import WordAligner
from asr.align.words import loudness
from asr.audio.features import FRAMES_PER_SECOND, SAMPLE_RATE, SlidingBuffer
from asr.audio.vad import Segmenter, SegmenterOptions, Span, VoiceActivity
from asr.errors import UsageError
from asr.model.checkpoint import DEFAULT
from asr.model.interface import AcousticModel, Latency, Loaded
from asr.model.onnx import load_model
from asr.model.streaming import Posteriors, encode
from asr.search.base import Hypothesis
from asr.search.decoder import Decoder, DecoderOptions
from asr.transcript import Segment, Transcript
from asr.written import WrittenOptions

if TYPE_CHECKING:
    from asr.written.writer import Writer

CONTEXT = 200  # frames given to the encoder beyond a cut through running speech: 2 s
STEP_COST = 1.3  # pieces: a recurrent step takes the time of so many more than the batch has, on one core


@dataclass(frozen=True)
class RecognizerOptions:
    """How files are cut, encoded and searched; lengths in s, latency in ms."""

    decoder: DecoderOptions = DecoderOptions()
    least_confidence: float = 0.35  # of the letters; a segment of few words below it is noise: align/segment.py
    latency: float | None = None  # ms of sound the encoder may wait for; None: the whole segment
    attention: bool = False  # let the attention decoder judge the candidates, too; in files, not in a Listener
    gather: float = 120.0  # s of speech collected before it is sorted by length into batches
    batch: float = 25.0  # s of padded speech in a batch
    segments: SegmenterOptions = SegmenterOptions()
    float32: bool = False  # no bytes in the acoustic model's recurrent layers
    written: WrittenOptions | None = WrittenOptions()  # marks, capitals, numbers; None, and commands: the words as said


@dataclass(frozen=True)
class Piece:
    """A span of speech, with the frames the encoder gets for it."""

    span: Span
    frames: np.ndarray  # (T, n_mels)
    lead: int  # frames of context before the span
    stride: int  # frames to an encoder frame

    @property
    def start(self) -> float:
        """Seconds into the audio."""
        return self.span.start / FRAMES_PER_SECOND

    @property
    def seconds(self) -> float:
        """Of the span itself."""
        return len(self.own) / FRAMES_PER_SECOND

    @property
    def steps(self) -> slice:
        """The encoder frames that belong to the span itself."""
        return slice(self.lead // self.stride, -(-(self.lead + self.span.end - self.span.start) // self.stride))

    @property
    def own(self) -> np.ndarray:
        """The frames of the span itself."""
        return self.frames[self.lead : self.lead + self.span.end - self.span.start]


class Recognizer(Loaded):
    """An acoustic model, a voice activity detector and a search, ready for any number of files."""

    pickled = "a recogniser that asr.load has given"

    def __init__(self, model: AcousticModel, aligner: WordAligner, options: RecognizerOptions = RecognizerOptions()):
        self.model, self.aligner, self.options = model, aligner, options
        self.decoder = aligner.decoder
        self._latency = Latency.of(options.latency, model.options) if options.latency else None
        self._activity = VoiceActivity(model.frontend)
        self.judge: Callable[[np.ndarray, slice, list[Hypothesis]], list[Hypothesis]] | None = None

    @cached_property
    def writer(self) -> Writer | None:
        """What writes the texts, loaded when it is first asked for; None where they stay as said."""
        if self.options.written is None or self.options.decoder.commands is not None:
            return None
        from asr.written.writer import Writer

        return Writer.load(self.options.written)

    @classmethod
    def of(cls, model: AcousticModel, card: dict, options: RecognizerOptions = RecognizerOptions()) -> Recognizer:
        """With the search that the options ask for. Raises what Decoder and WordAligner do."""
        return cls(model, WordAligner(Decoder(model, card, options.decoder), card), options)

    def transcribe(
        self,
        source: audio.Source | ArrayLike | audio.Recording,
        progress: Callable[[float], None] | None = None,
        rate: int = SAMPLE_RATE,
    ) -> Transcript:
        """What is said in a file ("-": standard input), in the bytes of one, in an open one, or in an array of samples.

        Samples are (n,) or (n, channels); integers of 16 and 32 bits are scaled. progress: is told the seconds read so
        far. rate: of an array, Hz. A source that breaks off gives the text up to there; ``warning`` says so.
        Raises asr.audio.AudioError when there is no usable audio.
        """
        recording = source if isinstance(source, audio.Recording) else audio.recording(source, rate)
        segments = tuple(self.segments(told(recording, progress)))
        return Transcript(recording.name, recording.seconds, segments, recording.warning, tuple(recording.notes))

    def segments(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        """Blocks of samples (n,) float32 at 16 kHz -> segments with words, in order; empty ones are left out."""
        found = self._spoken(blocks)
        for first in found:  # the writer is loaded when there is something to write
            yield from self.writer.segments(chain([first], found)) if self.writer else chain([first], found)

    def _spoken(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        for piece, posteriors in self.posteriors(blocks):
            least, loud = self.options.least_confidence, loudness(piece.own)
            hypotheses = self.decoder(*posteriors, shown=self.options.latency is not None)
            if self.judge:
                hypotheses = self.judge(piece.frames, piece.steps, hypotheses)
            found = self.aligner.segment(hypotheses, posteriors, piece.start, loud, least)
            if found:
                yield found

    def posteriors(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[Piece, Posteriors]]:
        """Blocks of samples (n,) float32 at 16 kHz -> the pieces of speech, what the model says of them, in order."""
        gathered: list[Piece] = []
        for piece in self._pieces(blocks):
            gathered.append(piece)
            if sum(len(p.frames) for p in gathered) > self.options.gather * FRAMES_PER_SECOND:
                yield from self._posteriors(gathered)
                gathered = []
        yield from self._posteriors(gathered)

    def _pieces(self, blocks: Iterable[np.ndarray]) -> Iterator[Piece]:
        """Front-end and voice activity over the stream; only frames that may still be needed are kept."""
        segmenter, waiting = Segmenter(self.options.segments), []
        frames = SlidingBuffer(self.model.options.frontend.n_mels)
        for activity in self._activity.over(blocks):
            frames.append(activity.frames)
            waiting += segmenter.feed(activity.probabilities)
            while waiting and (not waiting[0].cut_right or waiting[0].end + CONTEXT <= frames.end):
                yield self._piece(waiting.pop(0), frames)
            frames.forget(min([segmenter.keep_from, *(span.start for span in waiting)]) - CONTEXT)
        for span in [*waiting, *segmenter.flush()]:
            yield self._piece(span, frames)

    def _piece(self, span: Span, frames: SlidingBuffer) -> Piece:
        stride, after = self.model.options.stride, CONTEXT if span.cut_right else 0
        lead = lead_frames(span.start - frames.start, stride) if span.cut_left else 0
        return Piece(span, frames.rows(span.start - lead, span.end + after), lead, stride)

    def _posteriors(self, pieces: list[Piece]) -> Iterator[tuple[Piece, Posteriors]]:
        """Encode in batches of like length; the pieces come in order of time."""
        outputs: dict[Span, Posteriors] = {}
        for batch in _batches(pieces, self.options.batch * FRAMES_PER_SECOND):
            for piece, (letters, phonemes) in zip(batch, self.log_probs([p.frames for p in batch])):
                outputs[piece.span] = Posteriors(
                    letters[piece.steps], None if phonemes is None else phonemes[piece.steps]
                )
        for piece in pieces:
            yield piece, outputs.pop(piece.span)

    def log_probs(self, frames: list[np.ndarray]) -> list[Posteriors]:
        """Log-mel frames (T, n_mels) of several spans -> log-probabilities of letters (T', V), phonemes (T', P)."""
        return encode(self.model, frames, self._latency)


def told(recording: audio.Recording, progress: Callable[[float], None] | None) -> Iterator[np.ndarray]:
    """The blocks of a recording; progress is told the seconds when one has been dealt with."""
    for block in recording.blocks():
        yield block
        if progress:
            progress(recording.seconds)


def lead_frames(before: int, stride: int) -> int:
    """Of the frames before a cut through running speech, those that the encoder hears: whole encoder frames."""
    return min(CONTEXT, before) // stride * stride


def _batches(pieces: list[Piece], most: float) -> Iterator[list[Piece]]:
    """Pieces of like length together, at most ``most`` frames with their padding, as cheaply as can be."""
    pieces = sorted(pieces, key=lambda p: len(p.frames))
    best = [(0.0, 0)]  # of the first n pieces: what they cost, and the first piece of their last batch
    for end, piece in enumerate(pieces, start=1):
        longest = len(piece.frames)
        firsts = [k for k in range(end) if k == end - 1 or longest * (end - k) <= most]
        best.append(min((best[k][0] + longest * (STEP_COST + end - k), k) for k in firsts))
    end = len(pieces)
    while end:
        first = best[end][1]
        yield pieces[first:end]
        end = first


def load(
    model: str | Path = DEFAULT, options: RecognizerOptions = RecognizerOptions(), threads: int | None = None
) -> Recognizer:
    """A packaged model by name, or a checkpoint file.

    threads: of the processor, for the model; None: one. Raises asr.errors.Error.
    """
    search = options.decoder
    if options.attention and (search.beam == 1 or search.commands is not None):
        raise UsageError("there is nothing to rescore: the attention decoder needs a search with a beam above 1")
    recognizer = Recognizer.of(*load_model(model, threads, options.float32), options)
    if options.attention:
        from asr.attention.joint import AttentionJudge  # it brings torch with it

        weight = recognizer.decoder.weights.given["attention"]
        recognizer.judge = AttentionJudge.load(model, weight, options.latency, threads)
    recognizer.loaded_by = load, (model, options, threads)
    return recognizer
