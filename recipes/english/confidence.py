"""Fit the confidence of words to a model, and say how well it holds for speakers it was not fitted on.

    python -m recipes.english.confidence DEV.jsonl --model english          # rewrites the model's card
    python -m recipes.english.confidence DEV.jsonl --out FOLDER --dry-run   # only measures

The model must not have been trained on DEV: it is surer of what it has seen. The figures are of speakers left out of
the fit, an eighth at a time; the weights on the card are those of all. confidence.md has the table, reliability.png
the picture.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from asr.align.recording import Stretch, align_speech
from asr.align.segment import ALIGNED, FEATURES, HEARD, RECOGNISED, WordAligner, search_evidence
from asr.align.words import AlignError
from asr.commands.align import speech
from asr.model.checkpoint import locate, update_card
from asr.recognizer import RecognizerOptions, load
from asr.search.decoder import DecoderOptions
from asr.training.data import Utterance, read_manifest, read_samples
from recipes.english.calibration import fit
from recipes.english.reliability import Key, Sample, cross_validated, draw, report

SEARCHES = {  # see asr.search.decoder.Decoder.search
    "lexicon": DecoderOptions(),
    "letters": DecoderOptions(lexicon=False),
    "letters alone": DecoderOptions(lm=False),
    "greedy": DecoderOptions(beam=1),
}


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    recognizers = {
        name: load(options.model, RecognizerOptions(decoder, latency=options.latency))
        for name, decoder in SEARCHES.items()
    }
    default = recognizers["lexicon"]
    utterances = read_manifest(options.manifest)
    heard = [speech(default, [read_samples(u)]) for u in utterances]
    samples = {(ALIGNED, ""): aligned(default.aligner, utterances, heard)}
    for name, recognizer in recognizers.items():
        samples[RECOGNISED, name] = sample = recognised(recognizer.aligner, utterances, heard)
        samples[HEARD, name] = replace(sample, rows=[row[: len(FEATURES[HEARD])] for row in sample.rows])
    held_out = {key: cross_validated(sample) for key, sample in samples.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    text = report(samples, held_out, options.latency)
    (options.out / "confidence.md").write_text(text)
    print(text)
    draw(samples, held_out, options.out / "reliability.png")
    if not options.dry_run:
        path = locate(options.model)
        update_card(path, {"confidence": as_card(samples)})
        print(f"{path}: confidence fitted")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="speech that the model was not trained on")
    top.add_argument("--model", default="english", help="packaged model or checkpoint; its card is rewritten")
    top.add_argument("--latency", type=float, metavar="MS", help="of a live stream; default: files")
    top.add_argument("--dry-run", action="store_true", help="measure, but leave the card as it is")
    top.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR", help="for table and picture")
    return top


def recognised(aligner: WordAligner, utterances: list[Utterance], heard: list[list[Stretch]]) -> Sample:
    """The words that the search finds; right where the reference has the same word there."""
    sample = Sample()
    for utterance, stretches in zip(utterances, heard):
        words, rows, plain = [], [], []
        for stretch in stretches:
            hypotheses = aligner.decoder(*stretch.posteriors)
            try:
                found = aligner.align(hypotheses[0].text, stretch.posteriors, stretch.loudness)
            except AlignError:
                continue
            searched = search_evidence([a.word for a in found], hypotheses, aligner.decoder.lm)
            words += [a.word for a in found]
            rows += [a.evidence + more for a, more in zip(found, searched)]
            plain += [a.confidence for a in found]
        right = [False] * len(words)
        for same in Levenshtein.opcodes(utterance.text.split(), words):
            if same.tag == "equal":
                right[same.dest_start : same.dest_end] = [True] * (same.dest_end - same.dest_start)
        sample.add(utterance, rows, right, plain)
    return sample


def aligned(aligner: WordAligner, utterances: list[Utterance], heard: list[list[Stretch]]) -> Sample:
    """The words of the reference (right), those of somebody else's sentence of like length (wrong), half of each."""
    sample = Sample()
    for utterance, stretches in zip(utterances, heard):
        others = [u for u in utterances if u.speaker != utterance.speaker and u.text != utterance.text]
        other = min(others, key=lambda u: abs(len(u.text) - len(utterance.text)))
        said, unsaid = ([(word, right) for word in u.text.split()] for u, right in ((utterance, True), (other, False)))
        half, rest = len(said) // 2, len(unsaid) // 2
        for pairs in (said, unsaid, said[:half] + unsaid[rest:], unsaid[:rest] + said[half:]):
            words, right = zip(*pairs)
            try:
                found = [a for s in align_speech(stretches, list(words), aligner) for a in s.words]
            except AlignError:  # no speech was found, or not enough of it
                continue
            sample.add(utterance, [a.evidence for a in found], right, [a.confidence for a in found])
    return sample


def as_card(samples: dict[Key, Sample]) -> dict:
    """See asr.align.segment.Confidence.of."""
    card: dict = {}
    for (name, search), sample in samples.items():
        found = fit(np.array(sample.rows), np.array(sample.right))
        weights = {key: round(w, 5) for key, w in zip(FEATURES[name], found.weights)}
        group = card.setdefault(search, {}) if search else card
        group[name] = {"weights": weights, "bias": round(found.bias, 5)}
    return card


if __name__ == "__main__":
    main()
