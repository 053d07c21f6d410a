"""From a file to a Transcript: voice activity, batches, search, alignment; bounded memory at any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr import audio
from asr.align import loudness
from asr.checkpoint import DEFAULT, load_model
from asr.ctc import AcousticModel
from asr.decoding import Decoder, DecoderOptions
from asr.encoder import STRIDE, Latency
from asr.frontend import SAMPLE_RATE
from asr.transcript import Segment, Transcript
from asr.vad import Segment as Span
from asr.vad import Segmenter, SegmenterOptions, SpeechDetector
from asr.words import segment

FRAMES_PER_SECOND = 100  # of the front-end
CONTEXT = 200  # frames given to the encoder beyond a cut through running speech: 2 s
STEP_COST = 1.3  # pieces: a recurrent step takes the time of so many more than the batch has, on one core


@dataclass(frozen=True)
class RecognizerOptions:
    decoder: DecoderOptions = DecoderOptions()
    least_confidence: float = 0.35  # a segment of one to three words below it is taken for noise
    latency: float | None = None  # ms of sound the encoder may wait for; None: the whole segment
    gather: float = 120.0  # s of speech collected before it is sorted by length into batches
    batch: float = 45.0  # s of padded speech in a batch
    segments: SegmenterOptions = SegmenterOptions()


@dataclass(frozen=True)
class Piece:
    """A span of speech, with the frames the encoder gets for it."""

    span: Span
    frames: np.ndarray  # (T, n_mels)
    lead: int  # frames of context before the span

    @property
    def steps(self) -> slice:
        """The encoder frames that belong to the span itself."""
        return slice(self.lead // STRIDE, -(-(self.lead + self.span.end - self.span.start) // STRIDE))

    @property
    def own(self) -> np.ndarray:
        """The frames of the span itself."""
        return self.frames[self.lead : self.lead + self.span.end - self.span.start]


class Recognizer:
    """An acoustic model, a voice activity detector and a search, ready for any number of files."""

    def __init__(self, model: AcousticModel, decoder: Decoder, options: RecognizerOptions = RecognizerOptions()):
        self.model, self.decoder, self.options = model, decoder, options
        self._latency = Latency.of(options.latency) if options.latency else None
        self._detector = SpeechDetector.load()

    def transcribe(self, source: str | Path, progress: Callable[[float], None] | None = None) -> Transcript:
        """What is said in a file ("-": standard input). ``progress`` is told the seconds read so far.

        A file that breaks off gives the text up to there; the transcript's ``warning`` says so.
        Raises asr.audio.AudioError when there is no usable audio.
        """
        heard, warning = 0, ""

        def blocks() -> Iterator[np.ndarray]:
            nonlocal heard, warning
            try:
                for block in audio.blocks(str(source)):
                    heard += len(block)
                    yield block
                    if progress:
                        progress(heard / SAMPLE_RATE)
            except audio.AudioCutOff as error:
                warning = str(error)

        segments = tuple(self.segments(blocks()))
        return Transcript(str(source), heard / SAMPLE_RATE, segments, warning)

    def segments(self, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
        """Blocks of samples (n,) float32 at 16 kHz -> segments with words, in order; empty ones are left out."""
        gathered: list[Piece] = []
        for piece in self._pieces(blocks):
            gathered.append(piece)
            if sum(len(p.frames) for p in gathered) > self.options.gather * FRAMES_PER_SECOND:
                yield from self._recognise(gathered)
                gathered = []
        yield from self._recognise(gathered)

    def _pieces(self, blocks: Iterable[np.ndarray]) -> Iterator[Piece]:
        """Front-end and voice activity over the stream; only frames that may still be needed are kept."""
        segmenter, waiting = Segmenter(self.options.segments), []
        kept, first = np.zeros((0, self.model.options.frontend.n_mels), np.float32), 0  # frames, number of kept[0]
        for frames, spans in self._activity(blocks, segmenter):
            kept = np.concatenate([kept, frames])
            waiting += spans
            end = first + len(kept)
            while waiting and (not waiting[0].cut_right or waiting[0].end + CONTEXT <= end):
                yield _piece(waiting.pop(0), kept, first)
            needed = min([segmenter.keep_from] + [s.start for s in waiting]) - CONTEXT
            if needed > first:
                kept, first = kept[needed - first :], needed
        for span in waiting:
            yield _piece(span, kept, first)

    def _activity(
        self, blocks: Iterable[np.ndarray], segmenter: Segmenter
    ) -> Iterator[tuple[np.ndarray, list[Span]]]:
        """Log-mel frames of each block, and the spans of speech that ended in it."""
        frontend, detector = self.model.frontend, self._detector
        tail, state = frontend.start(), detector.start()
        for block in blocks:
            frames, tail = frontend.feed(block, tail)
            probabilities, state = detector.probabilities(frames, state)
            yield frames, list(segmenter.feed(probabilities))
        frames = frontend.flush(tail)
        probabilities, state = detector.probabilities(frames, state)
        last = [*segmenter.feed(probabilities), *segmenter.feed(detector.flush(state)), *segmenter.flush()]
        yield frames, last

    def _recognise(self, pieces: list[Piece]) -> Iterator[Segment]:
        """Encode in batches of like length, then search and align; the segments come in order of time."""
        outputs: dict[Span, list[np.ndarray | None]] = {}
        for batch in _batches(pieces, self.options.batch * FRAMES_PER_SECOND):
            for piece, heads in zip(batch, self.log_probs([p.frames for p in batch])):
                outputs[piece.span] = [None if h is None else h[piece.steps] for h in heads]
        for piece in pieces:
            heads, start = outputs[piece.span], piece.span.start / FRAMES_PER_SECOND
            least = self.options.least_confidence
            found = segment(self.decoder(*heads), heads, start, self.decoder, loudness(piece.own), least)
            if found:
                yield found

    @torch.inference_mode()
    def log_probs(self, frames: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Log-mel frames (T, n_mels) of several spans -> log-probabilities of letters (T', V), phonemes (T', P)."""
        lengths = torch.tensor([len(f) for f in frames])
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(f) for f in frames], batch_first=True)
        letters, phonemes, out_lengths = self.model.both(padded, lengths, self._latency)
        rows = zip(letters, [None] * len(frames) if phonemes is None else phonemes, out_lengths.tolist())
        return [(row[:n].numpy(), None if p is None else p[:n].numpy()) for row, p, n in rows]


def _piece(span: Span, kept: np.ndarray, first: int) -> Piece:
    before = min(CONTEXT, span.start - first) // STRIDE * STRIDE if span.cut_left else 0
    after = CONTEXT if span.cut_right else 0
    frames = kept[span.start - before - first : span.end + after - first]
    return Piece(span, frames.copy(), before)


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


def load(model: str | Path = DEFAULT, options: RecognizerOptions = RecognizerOptions()) -> Recognizer:
    """A packaged model by name, or a checkpoint file. Raises asr.checkpoint.CheckpointError, asr.ngram.NgramError."""
    acoustic, card = load_model(model)
    return Recognizer(acoustic, Decoder(acoustic, card.get("log_priors", {}), options.decoder), options)
