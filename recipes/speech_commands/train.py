"""Speech Commands from its folder to a scored classifier.

    python -m recipes.speech_commands.train FOLDER OUT --classes 12      # or 35

FOLDER is the unpacked corpus (or the miniature). OUT gets keywords.safetensors, report.json and what a stopped run
goes on from. The test set is scored once, by the epoch that did best on the validation set.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from asr.errors import Error
from asr.score import interval
from asr.training.fit import pick_device
from recipes.speech_commands.corpus import Clip, Corpus, read
from recipes.speech_commands.model import KeywordModel, save
from recipes.speech_commands.training import KeywordTraining, classify, measure_bands, train
from wakeword.train.training import PRETRAINED_TRUNK, start_from

PAIRS = 10  # confusions that are shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, choices=(12, 35), default=12)
    parser.add_argument("--epochs", type=int, default=KeywordTraining.epochs)
    parser.add_argument("--from-ear", action="store_true", help="begin with the layers of the wake words' ear, "
                        "which has heard other speech: faster, and not comparable with published figures")  # fmt: skip
    parser.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        corpus = read(options.folder, options.classes)
        recipe(corpus, options)
    except (Error, OSError) as error:
        sys.exit(f"train: {error}")


def recipe(corpus: Corpus, options: argparse.Namespace) -> dict:
    wanted, began = KeywordTraining(epochs=options.epochs, processes=options.processes), time.process_time()
    torch.manual_seed(wanted.seed)
    model = KeywordModel(corpus.classes)
    if not (options.from_ear and start_from(model, PRETRAINED_TRUNK)):
        measure_bands(model, corpus.parts["training"], wanted)
    model.to(pick_device(options.device))
    best = train(model, corpus.parts, corpus.backgrounds, wanted, options.out, lambda line: print(line, flush=True))
    test = corpus.parts["testing"]
    report = scores(test, classify(model, test, wanted)) | {"validation %": round(100 * best, 2)}
    report |= {"clips": {part: len(clips) for part, clips in corpus.parts.items()}, "from ear": options.from_ear}
    card = {"corpus": str(options.folder), "training": asdict(wanted), "report": report}
    save(model, options.out / "keywords.safetensors", card)
    (options.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(told(report) + f"\n{time.process_time() - began:.0f} s of processor time in this process")
    return report


def scores(clips: Sequence[Clip], heard: Sequence[str]) -> dict:
    """Accuracy with a 95 % interval by resampling speakers, whose clips are not independent; the usual confusions."""
    wrong, total = defaultdict(int), Counter(clip.speaker for clip in clips)
    pairs = Counter((clip.label, label) for clip, label in zip(clips, heard) if clip.label != label)
    for clip, label in zip(clips, heard):
        wrong[clip.speaker] += clip.label != label
    errors, sizes = np.array([wrong[s] for s in total]), np.array(list(total.values()))
    low, high = interval(errors, sizes)
    return {
        "accuracy %": round(100 * (1 - errors.sum() / sizes.sum()), 2),
        "95 %": [round(100 * (1 - high), 2), round(100 * (1 - low), 2)],
        "speakers": len(total),
        "confusions": [[said, taken, n] for (said, taken), n in pairs.most_common(PAIRS)],
    }


def told(report: dict) -> str:
    low, high = report["95 %"]
    head = f"{report['accuracy %']} % right ({low} to {high}) of {report['clips']['testing']} clips of the test set"
    return "\n".join([head, *(f"{n:4}  {said} taken for {taken}" for said, taken, n in report["confusions"])])


if __name__ == "__main__":
    main()
