"""Marks and capitals in what the recogniser has heard, against the published text of the same sentences.

    python -m recipes.punctuation.heard DATA/speech/dev.jsonl

Words are laid side by side (Levenshtein); a mark is right where the reference has it after the same place. Sentences
without a mark in the reference are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

import asr
from asr.commands.terminal import say, table
from asr.score import wer
from asr.written.tagger import LOWER, MARKS
from recipes.punctuation.evaluate import f1
from recipes.punctuation.text import Labelled, case_of, labelled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--corpus", default="commonvoice", help="(default: commonvoice)")
    args = parser.parse_args()

    recognizer = asr.load(options=asr.RecognizerOptions(written=asr.WrittenOptions(numbers="never")))
    marks, capitals, texts, heard = [], [], [], []
    for row in map(json.loads, args.manifest.open(encoding="utf-8")):
        said = labelled(row["raw_text"]) if row["corpus"] == args.corpus else None
        if not said or not any(word.mark > 0 for word in said):
            continue
        transcript = recognizer.transcribe(args.manifest.parent / row["audio_filepath"])
        texts.append(row["text"])
        heard.append(transcript.spoken)
        found = labelled(transcript.text) or []
        pairs = [(o.src_start + i, o.dest_start + i) for o in same(said, found) for i in range(o.src_end - o.src_start)]
        marks.append(np.sum([counted(said, found, pairs, kind) for kind in range(1, len(MARKS))], 0))
        capitals.append(counted_capitals(said, found, pairs))
    score = wer(texts, heard)
    say(table([("sentences", "word errors", "marks F1", "capitals F1"),
               (len(texts), f"{score.wer:.1%}", f1(np.array(marks)), f1(np.array(capitals)))]))  # fmt: skip


def same(said: list[Labelled], found: list[Labelled]) -> list:
    """Stretches of words that stand for each other: equal ones and replaced ones."""
    steps = Levenshtein.opcodes([w.word for w in said], [w.word for w in found])
    return [step for step in steps if step.tag in ("equal", "replace")]


def counted(said: list[Labelled], found: list[Labelled], pairs: list[tuple[int, int]], kind: int) -> np.ndarray:
    """-> right, found, wanted"""
    right = sum(said[i].mark == found[j].mark == kind for i, j in pairs)
    return np.array([right, sum(w.mark == kind for w in found), sum(w.mark == kind for w in said)])


def counted_capitals(said: list[Labelled], found: list[Labelled], pairs: list[tuple[int, int]]) -> np.ndarray:
    """Of words; a word that was heard wrongly counts as well."""
    given, wanted = ([case_of(w.written) for w in side] for side in (found, said))
    right = sum(wanted[i] == given[j] != LOWER for i, j in pairs)
    return np.array([right, sum(c != LOWER for c in given), sum(c != LOWER for c in wanted)])


if __name__ == "__main__":
    main()
