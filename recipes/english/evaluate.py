"""Score a model on a manifest: greedy, beam, language model; full context and streaming latencies.

    python -m recipes.english.evaluate --model english DEV.jsonl
    python -m recipes.english.evaluate --tune DEV.jsonl        # weights of the language model

Whole clips go to the encoder, without voice activity detection; the search is that of `asr transcribe`.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from asr.audio import load as load_audio
from asr.recognizer import Recognizer, RecognizerOptions, load
from asr.search import BeamSearch, SearchOptions, greedy
from asr.training.data import Utterance, read_manifest
from asr.training.scoring import interval, rate, word_errors

LATENCIES = (None, 1280, 640, 320, 160)  # ms


def all_log_probs(recognizer: Recognizer, utterances: list[Utterance]) -> list[np.ndarray]:
    """Natural log-probabilities (T', V) of every utterance, computed in batches of like length."""
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration)
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), 16):
        some = order[start : start + 16]
        frames = [recognizer.model.frontend(load_audio(str(utterances[i].path))) for i in some]
        found |= dict(zip(some, recognizer.log_probs(frames)))
    return [found[i] for i in range(len(utterances))]


def report(utterances: list[Utterance], texts: list[str]) -> str:
    """WER with its 95 % interval, over all and for each corpus, as cells of a table."""
    wrong, total = word_errors([u.text for u in utterances], texts)
    rows = defaultdict(list)
    for i, u in enumerate(utterances):
        rows["all"].append(i)
        rows[u.corpus].append(i)
    cells = []
    for indices in rows.values():
        low, high = interval(wrong[indices], total[indices])
        cells.append(f"{100 * rate(wrong[indices], total[indices]):.1f} ({100 * low:.1f}-{100 * high:.1f})")
    return " | ".join(cells)


def tune(recognizer: Recognizer, utterances: list[Utterance], log_probs: list[np.ndarray]) -> None:
    """A grid over the weight of the language model and the bonus for words; the best come last."""
    results = []
    for weight, bonus in itertools.product((0.3, 0.45, 0.6, 0.8), (0.0, 0.7, 1.4, 2.1)):
        options = replace(SearchOptions(), beam=16, lm_weight=weight, word_bonus=bonus)
        search = BeamSearch(recognizer.model.alphabet, options, recognizer.lm)
        texts = [search.decode(p)[0].text for p in log_probs]
        results.append((rate(*word_errors([u.text for u in utterances], texts)), weight, bonus))
    for wer, weight, bonus in sorted(results, reverse=True):
        print(f"WER {100 * wer:.2f} %  lm_weight {weight}  word_bonus {bonus}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="english")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--full-only", action="store_true", help="leave out the streaming latencies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    utterances = read_manifest(options.manifest)
    recognizer = load(options.model)
    if options.tune:
        return tune(recognizer, utterances, all_log_probs(recognizer, utterances))
    corpora = list(dict.fromkeys(u.corpus for u in utterances))
    print("| context | search | all | " + " | ".join(corpora) + " |\n" + "|---" * (len(corpora) + 3) + "|")
    for latency in LATENCIES[: 1 if options.full_only else None]:
        recognizer = load(options.model, RecognizerOptions(latency=latency))
        log_probs = all_log_probs(recognizer, utterances)
        alphabet, search = recognizer.model.alphabet, recognizer.options.search
        systems = {"greedy": [greedy(p, alphabet).text for p in log_probs]}
        for name, lm in (("beam", None), ("beam + LM", recognizer.lm)):
            beam = BeamSearch(alphabet, search, lm)
            systems[name] = [beam.decode(p)[0].text for p in log_probs]
        for name, texts in systems.items():
            context = f"{latency} ms" if latency else "full"
            print(f"| {context} | {name} | {report(utterances, texts)} |", flush=True)


if __name__ == "__main__":
    main()
