"""Read sentences aloud with one of the installed voices: text -> wav files and a manifest.

    python -m recipes.english.synthesize --text data/text --voice hibari --hours 40 OUT

Sentences that stand in a --held-out manifest are never read. The same seed gives the
same corpus; a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from asr.text import normalise
from asr.training.data import ManifestError, read_manifest
from wakeword.voices import SAMPLE_RATE, VOICES

SPEAKABLE = re.compile(r"[A-Za-z][A-Za-z ,.;:?!'’“”\"—-]+")
SHARES = {"sentences": 0.4, "dialogue": 0.3, "books": 0.3}


def speakable_lines(path: Path, held_out: set[str]) -> list[str]:
    """Lines of 2 to 24 words that every voice reads as they are written (no digits, no capitals in a row)."""
    kept = []
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if (
                SPEAKABLE.fullmatch(line)
                and 2 <= len(line.split()) <= 24
                and not re.search(r"[A-Z]{2}|\b[A-Z][a-z]{0,2}\. \w", line)
            ):
                if normalise(line) not in held_out:
                    kept.append(line)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="folder with sentences, dialogue, books .txt.xz")
    parser.add_argument("--voice", choices=[v.name for v in VOICES], required=True)
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--minutes", type=float, help="stop after this much time, whatever was made")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="manifests whose sentences are left out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    try:
        held_out = {utterance.text for manifest in options.held_out for utterance in read_manifest(manifest)}
    except ManifestError as error:
        sys.exit(f"synthesize: {error}")
    pools = {name: speakable_lines(options.text / f"{name}.txt.xz", held_out) for name in SHARES}
    voice = next(v for v in VOICES if v.name == options.voice)()
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = options.out / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.open()] if manifest.exists() else []
    seconds, began = sum(r["duration"] for r in rows), time.time()
    number = rows[-1]["number"] + 1 if rows else 0
    with manifest.open("a", buffering=1) as log:  # whole lines, so that a killed run can go on
        while seconds < options.hours * 3600:
            if options.minutes and time.time() - began > options.minutes * 60:
                break
            rng = np.random.default_rng([options.seed, number])
            pool = pools[str(rng.choice(list(SHARES), p=list(SHARES.values())))]
            raw = pool[rng.integers(len(pool))]
            number += 1
            samples, speaker = voice.speak(raw, rng)
            text, duration = normalise(raw), len(samples) / SAMPLE_RATE
            if not 0.03 < duration / len(text) < 0.2 or not np.abs(samples).max() > 0.01:
                continue  # the engine stumbled: too short or too long for its text, or silent
            name = f"{(number - 1) // 1000:03d}/{options.voice}-{number - 1:06d}.wav"
            (options.out / name).parent.mkdir(exist_ok=True)
            peak = np.abs(samples).max()
            soundfile.write(options.out / name, samples * (0.5 / peak), SAMPLE_RATE, subtype="PCM_16")
            row = {"audio_filepath": name, "duration": round(duration, 3), "text": text, "speaker": speaker}
            log.write(json.dumps(row | {"corpus": f"synthetic-{options.voice}", "number": number - 1}) + "\n")
            seconds += duration
    print(f"{options.voice}: {seconds / 3600:.2f} h in {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
