"""What hotwords gain: the rare words of a manifest, listed among distractors, with and without the list.

    python -m recipes.english.hotwords DEV.jsonl --weights 2 3 5 8

Rare are words that are not among the most frequent of the language model. Distractors are words of the lexicon,
as rare, that nobody says. Tune on every second utterance (--part 1 2), report on the others (--part 0 2).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from asr.language.ngram import load as load_ngram
from asr.model.checkpoint import MODELS
from asr.model.onnx import load_model
from asr.model.streaming import Posteriors
from asr.score import interval, rate, word_errors
from asr.search.decoder import LANGUAGE, Decoder, DecoderOptions
from asr.search.hotwords import DEFAULT_WEIGHT, Hotword
from asr.search.lexicon import packaged
from asr.training.data import read_manifest
from asr.training.run import all_posteriors


def rare_words(texts: Sequence[str], frequent: int) -> list[str]:
    """The words of the texts that are not among the so many most frequent of the packaged language model."""
    lm = load_ngram(MODELS / LANGUAGE)
    order = np.argsort(-lm.unigrams.log_prob)[:frequent]
    common = {lm.words[i] for i in order}
    return sorted({word for text in texts for word in text.split()} - common)


def distractors(texts: Sequence[str], frequent: int, count: int, seed: int = 0) -> list[str]:
    """Rare words of the lexicon that the texts do not have."""
    said = {word for text in texts for word in text.split()}
    known = sorted(packaged().keys() - said)
    rare = rare_words([" ".join(known)], frequent)
    return [rare[i] for i in np.random.default_rng(seed).permutation(len(rare))[:count]]


def recall(references: Sequence[str], found: Sequence[str], words: Sequence[str]) -> tuple[int, int, int]:
    """Occurrences of the words that were found, that were said, and that were found where nobody said them."""
    hit = said = invented = 0
    for reference, text in zip(references, found):
        there, here = (Counter(w for w in t.split() if w in set(words)) for t in (reference, text))
        hit, said = hit + (there & here).total(), said + there.total()
        invented += (here - there).total()
    return hit, said, invented


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="english")
    parser.add_argument("--frequent", type=int, default=5000, help="words of the language model that are not rare")
    parser.add_argument("--distractors", type=int, default=100)
    parser.add_argument("--weights", type=float, nargs="+", default=[DEFAULT_WEIGHT])
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="utterances I, I + N ...")
    parser.add_argument("--beam", type=int, default=DecoderOptions.beam)
    options = parser.parse_args()
    torch.set_num_threads(1)
    utterances = read_manifest(options.manifest)[options.part[0] :: options.part[1]]
    model, card = load_model(options.model)
    posteriors = all_posteriors(model, utterances)
    compare(model, card, [u.text for u in utterances], posteriors, options)


def compare(
    model, card: dict, references: list[str], posteriors: list[Posteriors], options: argparse.Namespace
) -> None:
    """A line without the list, and one for each weight."""
    rare = rare_words(references, options.frequent)
    others = distractors(references, options.frequent, options.distractors)
    lexicon = packaged()
    unknown = [word for word in rare if word not in lexicon]
    print(f"{len(rare)} rare words, {len(unknown)} of them not in the lexicon, {len(others)} distractors")
    print("| weight | recall | of words no lexicon knows | distractors heard | WER |\n|---|---|---|---|---|")
    for weight in (0.0, *options.weights):
        listed = tuple(Hotword(word, weight) for word in (*rare, *others)) if weight else ()
        decoder = Decoder(model, card, DecoderOptions(beam=options.beam, hotwords=listed))
        texts = [decoder(*h)[0].text for h in posteriors]
        hit, said, _ = recall(references, texts, rare)
        hit_unknown, said_unknown, _ = recall(references, texts, unknown)
        wrong, total = word_errors(references, texts)
        low, high = interval(wrong, total)
        cells = [f"{weight:g}" if weight else "none", f"{100 * hit / max(1, said):.1f} % ({hit} of {said})"]
        cells += [f"{hit_unknown} of {said_unknown}", f"{recall(references, texts, others)[2]}"]
        cells += [f"{100 * rate(wrong, total):.1f} % ({100 * low:.1f}-{100 * high:.1f})"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
