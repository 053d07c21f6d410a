"""Set a detector's thresholds by more real speech than `wakeword train` has: what is done for the packaged ones.

    python -m recipes.wake_words.thresholds wakeword/models/computer.safetensors SPEECH.jsonl

The speech must not have the phrase, nor speakers that the detector was trained on. Rates that so many hours can tell
are counted, lower ones come from the tail (wakeword/thresholds.py). The card is rewritten: RNN and phonemes both hear
everything from then on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.model.checkpoint import update_card
from asr.training.data import read_manifest
from wakeword.detector import VERSION, Detector, load
from wakeword.phonemes.fusion import Fusion, FusionOptions
from wakeword.phrase.pronunciation import says, ways
from wakeword.thresholds import LOOKED_TAIL, RATES, TAIL_RATE, USUAL, peaks, thresholds
from wakeword.train.validation import MIN_EVENT_GAP_S

PAUSE = np.zeros(SAMPLE_RATE // 2, np.float32)


def events(detector: Detector, manifest: Path) -> tuple[np.ndarray, float]:
    """What could be false alarms, the highest score first, and the hours of speech without the phrase."""
    state, scores, samples, phrase = detector.start(), [], 0, detector.card.get("phrase")
    for utterance in read_manifest(manifest):
        if phrase and says(utterance.text, phrase):
            continue
        for block in [*audio.blocks(str(utterance.path)), PAUSE]:
            new, state = detector.scores(block, state)
            scores.append(new)
            samples += len(block)
    return peaks(np.concatenate(scores), round(MIN_EVENT_GAP_S / detector.step_seconds)), samples / SAMPLE_RATE / 3600


def counted(events: np.ndarray, hours: float) -> dict[float, float]:
    """Falling peaks (n,) -> for each rate that gives one or more in these hours, the threshold that lets so many by."""
    allowed = {rate: round(rate * hours) for rate in RATES}
    return {r: float(np.mean(events[n - 1 : n + 1]) if n < len(events) else 0.02) for r, n in allowed.items() if n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("speech", type=Path, help="manifest: JSON lines with audio_filepath, duration, text")
    options = parser.parse_args()
    try:
        run(options)
    except Error as error:
        sys.exit(f"thresholds: {error}")


def run(options: argparse.Namespace) -> None:
    detector = load(options.detector)
    fusion = FusionOptions(tuple(ways(detector.phrase)))
    detector.phonemes = Fusion(fusion)
    heard, hours = events(detector, options.speech)
    tail = max(LOOKED_TAIL, round(TAIL_RATE * hours))
    chosen = thresholds(heard, hours, RATES, tail, shape=True) | counted(heard, hours)
    more = {
        "fusion": fusion.asdict(),
        "thresholds": {f"{rate:g}": threshold for rate, threshold in chosen.items()},
        "thresholds chosen on": f"{hours:.2f} h of real speech of speakers whom RNN and phonemes did not learn from",
        "detector": detector.card["detector"] | {"threshold": chosen[USUAL]},
    }
    update_card(options.detector, more, version=VERSION)
    print("  ".join(f"{rate:g}/h: {threshold:.3f}" for rate, threshold in chosen.items()), f"  ({hours:.2f} h)")


if __name__ == "__main__":
    main()
