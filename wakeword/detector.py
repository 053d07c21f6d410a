"""Blocks of samples in, detections out; needs numpy only.

The same weights as wakeword.train.training, stepped through in numpy: at this size a step is quicker without torch.
The state is a value, so that one detector serves any number of streams, and any cut of a stream gives the
same detections.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from asr.audio.features import BAD_SAMPLES, SAMPLE_RATE, clean_samples
from asr.errors import Error
from wakeword.network import Network, SharedLogMel
from wakeword.phonemes import CHUNK, Fusion, fusion_of

if TYPE_CHECKING:
    from wakeword.network import ExportedNetwork

FORMAT, VERSION, READ = "wakeword", "3", ("1", "3")  # 1: the RNN alone; 3: with the phonemes
MODELS = Path(__file__).parent / "models"
AFTERWARDS = np.zeros(SAMPLE_RATE // 2, np.float32)  # a detector fires a moment after the phrase: files end too soon
_log = logging.getLogger(__name__)


class DetectorError(Error, ValueError):
    """One sentence: why there is no such detector, or why it cannot be used, and what to do."""


class Detection(NamedTuple):
    """That the wake word was heard."""

    time: float  # seconds since the stream's start at which it fired
    score: float  # 0..1
    name: str = ""  # of the detector, where several listen


@dataclass(frozen=True)
class DetectorOptions:
    """When scores are a detection. Raises DetectorError for a threshold that no score can cross, or none can miss."""

    threshold: float  # a smoothed score from here on is a detection
    smooth: int = 3  # steps whose mean is the score
    refractory: float = 1.5  # s after a detection in which there is no other

    def __post_init__(self):
        if not 0 < self.threshold < 1:
            raise DetectorError(f"the threshold must lie between 0 and 1, not at {self.threshold:g}")
        if self.smooth < 1 or self.refractory < 0:
            raise DetectorError("smooth must be at least 1 step, refractory at least 0 s")


class StreamState(NamedTuple):
    tail: np.ndarray  # samples that later frames need
    frames: np.ndarray  # (0.., n_mels) frames that later steps need
    layers: tuple[np.ndarray, ...]  # the state of each recurrent layer, (1, H) or (2, H)
    recent: np.ndarray  # (smooth - 1,) last raw scores
    steps: int  # done so far
    quiet_until: int  # step before which nothing fires
    phonemes: Any  # the state of Fusion, None without
    waiting: np.ndarray  # samples that nothing has heard yet
    bad_samples: int = 0  # heard so far as silence: NaN, infinite or absurdly large


class WakeWordDetector:
    """What turns scores into detections, which those who score inherit from.

    A state is a named tuple with ``steps`` done so far, ``quiet_until`` and ``bad_samples``.
    """

    options: DetectorOptions
    step_seconds: float
    card: dict

    def start(self) -> Any:
        """The state before a stream."""
        raise NotImplementedError

    def scores(self, samples: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """(n,) samples -> the score (m,) of every step now complete, and the new state."""
        raise NotImplementedError

    def time(self, step: int) -> float:
        """When a step's last frame ended, in seconds of the stream."""
        raise NotImplementedError

    @property
    def phrase(self) -> str:
        return self.card["phrase"]

    def feed(self, samples: np.ndarray, state: Any) -> tuple[list[Detection], Any]:
        """The next samples (n,) at 16 kHz, float32 in -1..1 or int16 -> the detections in all steps now complete, and
        the new state. Raises asr.audio.features.SamplesError for other types.
        """
        _, found, state = self.step(samples, state)
        return found, state

    def step(self, samples: np.ndarray, state: Any) -> tuple[np.ndarray, list[Detection], Any]:
        """As ``feed``, and before the detections the score (m,) of each of those steps."""
        samples, bad = clean_samples(samples)
        if bad and not state.bad_samples:
            _log.warning(BAD_SAMPLES)
        scores, found, state = self.fired(samples, state)
        return scores, found, state._replace(bad_samples=state.bad_samples + bad) if bad else state

    def fired(self, samples: np.ndarray, state: Any) -> tuple[np.ndarray, list[Detection], Any]:
        """As ``step``, of samples that are clean."""
        scores, state = self.scores(samples, state)
        if not len(scores) or scores.max() < self.options.threshold:
            return scores, [], state
        first = state.steps - len(scores)
        fired, quiet_until = pick(scores, self.options, self.step_seconds, first, state.quiet_until)
        found = [Detection(self.time(i), float(scores[i - first])) for i in fired]
        return scores, found, state._replace(quiet_until=quiet_until)

    def detect(self, samples: np.ndarray) -> list[Detection]:
        """All detections in a whole recording (n,), also of a phrase that it ends with."""
        found, state = self.feed(samples, self.start())
        return found + self.feed(AFTERWARDS, state)[0]


class Detector(WakeWordDetector):
    """A trigger-word RNN with its threshold, and what the phonemes say of the same sound, if its card asks for it."""

    def __init__(
        self, network: dict[str, np.ndarray] | ExportedNetwork, model: dict, card: dict, options: DetectorOptions
    ):
        """network: its weights, or what computes with them as Network does."""
        self.model, self.card, self.options = model, card, options
        self.phonemes: Fusion | None = fusion_of(card)
        self.frontend = SharedLogMel.of(model["n_mels"])
        self._kernel, self._stride = model["kernel"], model["stride"]
        self.step_seconds = self._stride * self.frontend.options.hop / SAMPLE_RATE
        self.network: Any = Network(network, model) if isinstance(network, dict) else network

    def start(self) -> StreamState:
        no_frames = np.zeros((0, self.model["n_mels"]), np.float32)
        recent = np.zeros(self.options.smooth - 1, np.float32)
        phonemes = self.phonemes.start() if self.phonemes else None
        waiting = np.zeros(0, np.float32)
        return StreamState(self.frontend.start(), no_frames, self.network.start(), recent, 0, 0, phonemes, waiting)

    def scores(self, samples: np.ndarray, state: StreamState) -> tuple[np.ndarray, StreamState]:
        """(n,) samples -> the score (m,) of every step now complete, and the new state.

        With phonemes they wait until the next chunk of these is complete: no step before it can fire, and few long
        calls cost less than many short ones.
        """
        if self.phonemes:
            samples = np.concatenate([state.waiting, samples])
            known, chunk = self._end(state.steps - 1) if state.steps else 0, self._end(CHUNK) - self._end(0)
            beyond = known + len(samples) - self._end(state.steps + CHUNK - 1)
            if beyond < 0:
                return np.zeros(0, np.float32), state._replace(waiting=samples)
            taken = len(samples) - beyond % chunk
            samples, state = samples[:taken], state._replace(waiting=samples[taken:].copy())
        new, tail = self.frontend.feed(samples, state.tail)
        frames = np.concatenate([state.frames, new])
        count = max(0, (len(frames) - self._kernel) // self._stride + 1)
        raw, layers = np.zeros(0, np.float32), state.layers
        if count:
            raw, layers = self.network(frames, count, layers)
        smooth, phonemes = self.options.smooth, state.phonemes
        raw = np.concatenate([state.recent, raw])
        scores = raw[:count] / np.float32(smooth)
        for i in range(1, smooth):
            scores += raw[i : i + count] / np.float32(smooth)
        if self.phonemes:
            scores, phonemes = self.phonemes.feed(scores, new, phonemes)
        rest, recent = frames[count * self._stride :].copy(), raw[len(raw) - (smooth - 1) :]
        return scores, state._replace(
            tail=tail, frames=rest, layers=layers, recent=recent, steps=state.steps + count, phonemes=phonemes
        )

    def time(self, step: int) -> float:
        """When a step's last frame ended, in seconds of the stream."""
        return self._end(step) / SAMPLE_RATE

    def _end(self, step: int) -> int:
        """In samples."""
        hop, window = self.frontend.options.hop, self.frontend.options.window
        return (step * self._stride + self._kernel - 1) * hop + window


def pick(
    scores: np.ndarray, options: DetectorOptions, step_seconds: float, first: int = 0, quiet_until: int = 0
) -> tuple[list[int], int]:
    """The steps at which scores (n,), beginning with step ``first``, fire; and until when the rest is quiet."""
    fired, quiet = [], max(1, round(options.refractory / step_seconds))
    for i in (np.flatnonzero(scores >= options.threshold) + first).tolist():
        if i >= quiet_until:
            fired.append(i)
            quiet_until = i + quiet
    return fired, quiet_until


# --- files ---------------------------------------------------------------------------------------


def packaged() -> list[str]:
    """The names of the detectors that come with the package."""
    return sorted(p.stem for p in MODELS.glob("*.safetensors"))


def locate(name: str | Path) -> Path:
    """A packaged detector's name, or a path, perhaps without its suffix -> the file. Raises DetectorError."""
    names = MODELS / f"{name}.safetensors", Path(name), Path(f"{name}.safetensors")
    path = next((path for path in names if path.is_file()), None)
    if path is None:
        known = ", ".join(packaged()) or "none"
        raise DetectorError(
            f"no detector called {str(name)!r}: give a file, a packaged detector ({known}), "
            "or make one with `wakeword train PHRASE`"
        )
    return path


def load(name: str | Path, threshold: float | None = None, rate: float | None = None) -> Detector:
    """Read a detector. ``threshold`` replaces its own; or ``rate`` asks for that many false alarms an hour.

    Raises DetectorError, also when its file has no threshold for that rate.
    """
    path = locate(name)
    try:
        network, head = exported(path) if path.suffix == ".onnx" else weights(path)
        model, card = json.loads(head["options"]), json.loads(head["card"])
        with np.errstate(divide="raise", invalid="raise"):  # do the parts fit together?
            detector = Detector(network, model, card, DetectorOptions(**card["detector"]))
            detector.detect(np.zeros(SAMPLE_RATE // 4, np.float32))
    except DetectorError:
        raise
    except SafetensorError:
        raise DetectorError(f"{path} is no wake-word detector, or damaged: make one with `wakeword train`") from None
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        brief = next(iter(str(error).strip().splitlines()), "it makes no sense")[:100]
        raise DetectorError(f"{path} is damaged ({brief}): fetch or train it again") from None
    if rate is not None:
        threshold = threshold_for(card, rate)
    if threshold is not None:
        detector.options = replace(detector.options, threshold=threshold)
    return detector


def weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """-> the weights and the metadata."""
    with safe_open(path, framework="numpy") as file:
        head = file.metadata() or {}
        check(head, path)
        return {key: file.get_tensor(key) for key in file.keys()}, head


def exported(path: Path) -> tuple[ExportedNetwork, dict[str, str]]:
    """What `wakeword export` has written -> the network, run by onnxruntime, and the metadata."""
    from asr.model.checkpoint import CheckpointError
    from asr.model.onnx import session
    from wakeword.network import ExportedNetwork

    try:
        found = session(path, threads=1)
    except CheckpointError as error:
        raise DetectorError(str(error)) from None
    head = found.get_modelmeta().custom_metadata_map
    check(head, path)
    return ExportedNetwork(found), head


def check(head: dict[str, str], path: Path) -> None:
    if head.get("format") != FORMAT:
        raise DetectorError(f"{path} is no wake-word detector: make one with `wakeword train PHRASE`")
    if head.get("version") not in READ:
        found = f"version {head.get('version')}, this program reads up to version {VERSION}"
        raise DetectorError(f"{path} is a detector of {found}: install the matching release or train it again")


def threshold_for(card: dict, rate: float) -> float:
    """The threshold of the card's table for ``rate`` false alarms an hour."""
    table = {float(k): v for k, v in card.get("thresholds", {}).items()}
    if rate not in table:
        known = ", ".join(f"{r:g}" for r in sorted(table)) or "none"
        raise DetectorError(f"this detector knows no threshold for {rate:g} false alarms an hour, only for {known}")
    return table[rate]
