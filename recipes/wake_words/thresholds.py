"""Set detectors' thresholds by more real speech than `wakeword train` has: what is done for the packaged ones.

    python -m recipes.wake_words.thresholds SPEECH.jsonl wakeword/models/*.safetensors

The speech must not have the phrase, nor speakers that the detector was trained on. Rates that so many hours can tell
are counted, lower ones come from the tail (wakeword/scoring.py). The card is rewritten: RNN and phonemes both hear
everything from then on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.model.checkpoint import update_card
from asr.training.data import read_manifest
from wakeword.detector import VERSION, WakeWordDetector, load
from wakeword.phonemes import Fusion, FusionOptions
from wakeword.phrase import says, ways
from wakeword.scoring import LEAST_TAIL, RATES, TAIL_RATE, USUAL, peaks, thresholds
from wakeword.several import Several
from wakeword.train.validation import MIN_EVENT_GAP_S

PAUSE = np.zeros(SAMPLE_RATE // 2, np.float32)


def events(detectors: Mapping[str, WakeWordDetector], manifest: Path) -> dict[str, tuple[np.ndarray, float]]:
    """What could be false alarms of each, the highest score first, and the hours of speech without its phrase."""
    found = {}
    heard = {name: [np.zeros(0, np.float32)] for name in detectors}
    states, samples = {name: detector.start() for name, detector in detectors.items()}, dict.fromkeys(detectors, 0)
    phrases = {name: detector.card.get("phrase") for name, detector in detectors.items()}
    for utterance in read_manifest(manifest):
        hear = [name for name, phrase in phrases.items() if not phrase or not says(utterance.text, phrase)]
        for block in chain(*map(_seconds, [*audio.blocks(str(utterance.path)), PAUSE])):
            for name in hear:
                new, states[name] = detectors[name].scores(block, states[name])
                heard[name].append(new)
                samples[name] += len(block)
    for name, detector in detectors.items():
        gap = round(MIN_EVENT_GAP_S / detector.step_seconds)
        found[name] = peaks(np.concatenate(heard[name]), gap), samples[name] / SAMPLE_RATE / 3600
    return found


def _seconds(samples: np.ndarray) -> list[np.ndarray]:
    """Blocks of which detectors share what they have in common."""
    return np.split(samples, range(SAMPLE_RATE, len(samples), SAMPLE_RATE))


def counted(events: np.ndarray, hours: float) -> dict[float, float]:
    """Falling peaks (n,) -> for each rate that gives one or more in these hours, the threshold that lets so many by."""
    allowed = {rate: round(rate * hours) for rate in RATES}
    return {r: float(np.mean(events[n - 1 : n + 1]) if n < len(events) else 0.02) for r, n in allowed.items() if n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="manifest: JSON lines with audio_filepath, duration, text")
    parser.add_argument("detectors", type=Path, nargs="+")
    options = parser.parse_args()
    try:
        run(options)
    except Error as error:
        sys.exit(f"thresholds: {error}")


def run(options: argparse.Namespace) -> None:
    detectors = {str(path): load(path) for path in options.detectors}
    fusions = {name: FusionOptions(tuple(ways(detector.phrase))) for name, detector in detectors.items()}
    for name, detector in detectors.items():
        detector.phonemes = Fusion(fusions[name])
    for name, (heard, hours) in events(Several(detectors).detectors, options.speech).items():
        tail = max(LEAST_TAIL, round(TAIL_RATE * hours))
        chosen = thresholds(heard, hours, RATES, tail, shape=True) | counted(heard, hours)
        more = {
            "fusion": fusions[name].asdict(),
            "thresholds": {f"{rate:g}": threshold for rate, threshold in chosen.items()},
            "thresholds chosen on": f"{hours:.2f} h of real speech, by speakers from whom neither part learnt",
            "detector": detectors[name].card["detector"] | {"threshold": chosen[USUAL]},
        }
        update_card(Path(name), more, version=VERSION)
        print(name, "  ".join(f"{rate:g}/h: {threshold:.3f}" for rate, threshold in chosen.items()), f"({hours:.2f} h)")


if __name__ == "__main__":
    main()
