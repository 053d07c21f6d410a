"""Compare CTC, attention and both together on a manifest.

    python -m recipes.attention.evaluate DEV.jsonl
    python -m recipes.attention.evaluate --every 3 DEV.jsonl     # each third utterance

Word error rates with 95 % intervals, and letter error rates. Where scores are added, the weight of attention is tuned
on one half of the utterances for the other. The cost is that of search and scores, without the encoder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.attention.decoder import AttentionDecoder, SpellOptions, spell
from asr.attention.joint import JointModel, attach_attention, load_joint
from asr.errors import Error
from asr.model.network.ctc import CTCModel
from asr.score import errors, word_errors
from asr.search.decoder import Decoder, DecoderOptions, letter_scores
from asr.training.data import Utterance, read_manifest, read_samples
from recipes.english.evaluate import report

CANDIDATES = 16  # texts that are scored by both
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)  # of attention's ln probability


@dataclass(frozen=True)
class Heard:
    hidden: Tensor  # (T, size)
    letters: np.ndarray  # (T, V)
    phonemes: np.ndarray | None  # (T, P)


@dataclass(frozen=True)
class Scored:
    text: str
    score: float  # of whoever proposed it, or CTC
    attention: float  # ln probability


@torch.inference_mode()
def hear(model: CTCModel, utterance: Utterance) -> Heard:
    frames = torch.from_numpy(model.frontend(read_samples(utterance)))[None]
    hidden, _ = model.encode(frames, torch.tensor([frames.shape[1]]))
    phonemes = model.phonemes(hidden)
    return Heard(hidden[-1][0], model.letters(hidden)[0].numpy(), None if phonemes is None else phonemes[0].numpy())


def searched(decoder: Decoder, attention: AttentionDecoder) -> Callable[[Heard], list[Scored]]:
    """A search's n-best list, scored by attention too."""

    def score(heard: Heard) -> list[Scored]:
        found = decoder(heard.letters, heard.phonemes)
        by_attention = attention.ln_probability(heard.hidden, [h.text for h in found])
        return [Scored(h.text, h.score, a) for h, a in zip(found, by_attention)]

    return score


def spelled(attention: AttentionDecoder, options: SpellOptions, n_best: int = 1) -> Callable[[Heard], list[Scored]]:
    """What attention's own search finds."""
    return lambda heard: [
        Scored(" ".join(attention.alphabet.decode(s.symbols).split()), s.score, s.ln_probability)
        for s in spell(attention, heard.hidden, options, n_best)
    ]


def proposed_by_both(decoder: Decoder, attention: AttentionDecoder) -> Callable[[Heard], list[Scored]]:
    """The candidates of CTC's search and of attention's, scored by CTC and by attention."""

    by_attention = spelled(attention, SpellOptions(), CANDIDATES)

    def score(heard: Heard) -> list[Scored]:
        found = decoder(heard.letters, heard.phonemes)
        texts = sorted({s.text for s in by_attention(heard)} | {h.text for h in found})
        by_ctc = letter_scores(heard.letters, texts, attention.alphabet)
        return [Scored(*row) for row in zip(texts, by_ctc, attention.ln_probability(heard.hidden, texts))]

    return score


def best(candidates: list[Scored], weight: float) -> str:
    return max(candidates, key=lambda c: c.score + weight * c.attention).text if candidates else ""


def tuned(utterances: list[Utterance], lists: list[list[Scored]]) -> tuple[list[str], list[float]]:
    """-> texts, each with the weight that is best on the other half; the two weights."""
    texts, chosen = [""] * len(lists), []
    for half in (0, 1):
        others = range(1 - half, len(lists), 2)
        references = [utterances[i].text for i in others]
        wrong = [word_errors(references, [best(lists[i], w) for i in others])[0].sum() for w in WEIGHTS]
        chosen.append(WEIGHTS[int(np.argmin(wrong))])
        for i in range(half, len(lists), 2):
            texts[i] = best(lists[i], chosen[-1])
    return texts, chosen


def letter_errors(utterances: list[Utterance], texts: list[str]) -> str:
    """Errors in letters, in % of the letters."""
    wrong = sum(errors(u.text, t) for u, t in zip(utterances, texts))
    return f"{100 * wrong / sum(len(u.text) for u in utterances):.1f}"


def systems(model: JointModel, card: dict) -> Iterator[tuple[str, Callable[[Heard], list[Scored]]]]:
    """Name, and what gives each utterance its candidates."""
    attention, letters = model.attention, Decoder(model, card, DecoderOptions(lm=False, n_best=CANDIDATES))
    assert attention  # see asr.model.checkpoint.attach_attention
    yield "CTC, greedy", searched(Decoder(model, card, DecoderOptions(beam=1)), attention)
    for name, options in {"greedy": SpellOptions(beam=1, coverage=0.0), "beam 8": SpellOptions()}.items():
        yield f"attention, {name}", spelled(attention, options)
    yield "CTC, beam + attention", searched(letters, attention)
    yield "candidates of both, CTC + attention", proposed_by_both(letters, attention)
    yield (
        "lexicon + LM + letters + attention",
        searched(Decoder(model, card, DecoderOptions(n_best=CANDIDATES)), attention),
    )


def compare(model: JointModel, card: dict, utterances: list[Utterance]) -> None:
    """Print the table, a line for each system."""
    heard, seconds = [hear(model, u) for u in utterances], sum(u.duration for u in utterances)
    corpora = list(dict.fromkeys(u.corpus for u in utterances))
    print("| search | all | " + " | ".join(corpora) + " | letters | weight | CPU s a second |")
    print("|---" * (len(corpora) + 5) + "|")
    for name, candidates in systems(model, card):
        began = time.process_time()
        lists = [candidates(h) for h in heard]
        cost = (time.process_time() - began) / seconds
        alone = [best(c, 0.0) for c in lists]
        rows = {name.removesuffix(" + attention"): (alone, [])}
        if name.endswith(" + attention"):
            rows[name] = tuned(utterances, lists)
        for label, (texts, weights) in rows.items():
            rates = f"{report(utterances, texts)} | {letter_errors(utterances, texts)}"
            print(f"| {label} | {rates} | {', '.join(f'{w:g}' for w in weights)} | {cost:.4f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="english")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        utterances = read_manifest(options.manifest)[:: options.every]
        model, card = load_joint(options.model)
        attach_attention(model, options.model)
    except Error as error:
        sys.exit(f"evaluate: {error}")
    compare(model, card, utterances)


if __name__ == "__main__":
    main()
