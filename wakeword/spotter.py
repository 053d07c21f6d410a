"""Any phrase, without training: the speech recogniser's CTC model listens for its phonemes.

While somebody speaks it costs some twenty times what a detector of its own does, and next to nothing otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.audio.vad import STEP, ActivityState, SegmenterOptions, VoiceActivity
from asr.errors import Error
from asr.model.interface import AcousticModel, Latency
from asr.model.streaming import Chunk, EncoderState, StreamingEncoder, encode
from asr.search.ctc_paths import Keyword
from wakeword.detector import DetectorOptions, WakeWordDetector, threshold_for
from wakeword.phrase import check, ways
from wakeword.scoring import RATES, USUAL, peaks, thresholds

MIN_SCORE = 0.1  # that confirms; of real recordings 0.2 % ("snowboy") and 0.3 % ("smart mirror") score less


class VerifyError(Error, ValueError):
    """One sentence: why this phrase cannot be verified."""


def keyword_of(phrase: str, symbols: tuple[str, ...]) -> Keyword:
    """A normalised phrase in the model's phonemes (``symbols``, from number 1). Raises VerifyError."""
    if not symbols:
        raise VerifyError("this acoustic model has no phonemes to hear a phrase by: use the packaged one")
    return Keyword.of(ways(phrase), symbols)


class Verifier:
    """Scores the samples around a detection with an acoustic model's phonemes."""

    def __init__(self, model: AcousticModel, phrase: str, least: float = MIN_SCORE):
        """phrase: normalised. Raises VerifyError."""
        self._keyword = keyword_of(phrase, model.options.phonemes)
        self._model, self.least = model, least

    def score(self, samples: np.ndarray) -> float:
        """(n,) float32 at 16 kHz -> 0..1, the phrase's best score anywhere in them."""
        if len(samples) < 1_600:
            return 0.0
        [posteriors] = encode(self._model, [self._model.frontend(samples)])
        assert posteriors.phonemes is not None  # the model has that head, or there would be no keyword
        return float(self._keyword.feed(posteriors.phonemes, self._keyword.start())[0].max(initial=0))

    def __call__(self, samples: np.ndarray) -> bool:
        return self.score(samples) >= self.least


LATENCY_MS = 320.0  # ms of sound that the encoder waits for
SPEECH = SegmenterOptions()  # the encoder is given sound while there is speech, and its padding before it

HEARD = Path(__file__).parent / "data" / "heard.npz"  # what the packaged model hears in the packaged speech
KEPT, UNIT = 8, 0.125  # phonemes kept of every step there, nats
MIN_GAP_STEPS = 38  # steps in which there is at most one false alarm


class SpotState(NamedTuple):
    activity: ActivityState
    before: np.ndarray  # (t, n_mels) of the last steps without speech
    waiting: np.ndarray  # (t, n_mels) that the encoder has not been given yet
    given: int  # frames given to it since speech began
    encoder: EncoderState  # since speech began
    keyword: np.ndarray
    open: int  # steps that the encoder will still be given, if no more speech comes; 0: nobody speaks
    steps: int  # done so far
    quiet_until: int  # step before which nothing fires
    bad_samples: int = 0  # heard so far as silence: NaN, infinite or absurdly large


class Spotter(WakeWordDetector):
    """The phrase's pronunciations in the phonemes of an acoustic model, stream by stream.

    A step is 40 ms of the stream; its score is the best among the encoder's outputs that became known in it.
    """

    step_seconds = STEP / 100

    def __init__(self, model: AcousticModel, phrase: str, options: DetectorOptions, latency: float = LATENCY_MS):
        """phrase: normalised. Raises wakeword.spotter.VerifyError."""
        self.options, self.card = options, {"phrase": phrase, "thresholds": {}}
        self._keyword = keyword_of(phrase, model.options.phonemes)
        self._model, self._activity = model, VoiceActivity(model.frontend)
        self._encoder = StreamingEncoder(model, Latency.of(latency, model.options))

    def start(self) -> SpotState:
        empty = np.zeros((0, self._model.options.frontend.n_mels), np.float32)
        activity, encoder = self._activity.start(), self._encoder.start()
        return SpotState(activity, empty, empty, 0, encoder, self._keyword.start(), 0, 0, 0)

    def scores(self, samples: np.ndarray, state: SpotState) -> tuple[np.ndarray, SpotState]:
        """(n,) samples -> the score (m,) of every step now complete, and the new state."""
        found, activity = self._activity.feed(samples, state.activity)
        scores = np.zeros(len(found.probabilities), np.float32)
        for i, (frames, probability) in enumerate(found.steps()):
            scores[i], state = self._step(frames, probability, state)
        return scores, state._replace(activity=activity, steps=state.steps + len(scores))

    def time(self, step: int) -> float:
        """When a step's last frame ended, in seconds of the stream."""
        o = self._model.options.frontend
        return (((step + 1) * STEP - 1) * o.hop + o.window) / SAMPLE_RATE

    def _step(self, frames: np.ndarray, probability: float, state: SpotState) -> tuple[float, SpotState]:
        """The next 4 frames and whether they are speech -> the step's score, and the new state."""
        still = SPEECH.open_steps(probability, state.open)
        if not state.open:
            if not still:
                before = np.concatenate([state.before, frames])[-SPEECH.padding_steps * STEP :]
                return 0.0, state._replace(before=before)
            waiting = np.concatenate([state.before, frames])
            state = state._replace(encoder=self._encoder.start(), given=0, keyword=self._keyword.start())
        else:
            waiting = np.concatenate([state.waiting, frames])
        state = state._replace(waiting=waiting, open=still)
        last, total = not still, state.given + len(waiting)
        if not last and self._encoder.outputs(total) == self._encoder.outputs(state.given):
            return 0.0, state
        score, state = self._hear(state, last)
        return score, state._replace(before=frames) if last else state

    def _hear(self, state: SpotState, last: bool) -> tuple[float, SpotState]:
        """Give the encoder what is waiting."""
        [(posteriors, encoder)] = self._encoder.step([Chunk(state.waiting, state.encoder, last)])
        assert posteriors.phonemes is not None  # the model has that head, or there would be no keyword
        scores, keyword = self._keyword.feed(posteriors.phonemes, state.keyword)
        given = state.given + len(state.waiting)
        waiting = state.waiting[:0]
        return float(scores.max(initial=0)), state._replace(
            waiting=waiting, given=given, encoder=encoder, keyword=keyword
        )


def thresholds_of(phrase: Keyword, symbols: int) -> dict[str, float]:
    """The thresholds for so many false alarms an hour, by what the packaged model hears in an hour of other speech.

    symbols: of the acoustic model's head, the blank among them.
    """
    with np.load(HEARD) as file:
        kept, values, lengths = file["symbols"], -UNIT * file["units"].astype(np.float32), file["lengths"]
    log_probs = np.repeat(values[:, -1:] - 1.0, symbols, axis=1)  # of what was not kept: less than the last that was
    np.put_along_axis(log_probs, kept.astype(np.int64), values, axis=1)
    events = []
    for clip in np.split(log_probs, np.cumsum(lengths)[:-1]):
        events.append(peaks(phrase.feed(clip, phrase.start())[0], MIN_GAP_STEPS))
    found = thresholds(np.concatenate(events), lengths.sum() * STEP / 100 / 3600, RATES)
    return {f"{rate:g}": threshold for rate, threshold in found.items()}


def spotter(model: AcousticModel, phrase: str, threshold: float | None = None, rate: float | None = None) -> Spotter:
    """For any phrase; without a threshold, the one for so many false alarms an hour (default: 0.5).

    Raises wakeword.phrase.PhraseError, wakeword.spotter.VerifyError, wakeword.detector.DetectorError.
    """
    phrase = check(phrase)
    card = {}
    if threshold is None:
        symbols = model.options.phonemes
        card["thresholds"] = thresholds_of(keyword_of(phrase, symbols), len(symbols) + 1)
        threshold = threshold_for(card, USUAL if rate is None else rate)
    found = Spotter(model, phrase, DetectorOptions(threshold, smooth=1))
    found.card |= card
    return found
