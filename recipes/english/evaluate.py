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
from asr.checkpoint import load_model
from asr.ctc import AcousticModel
from asr.decoding import Decoder, DecoderOptions
from asr.lexicon_search import LexiconOptions
from asr.recognizer import Recognizer, RecognizerOptions
from asr.training.data import Utterance, read_manifest
from asr.training.scoring import interval, rate, word_errors

LATENCIES = (None, 1280, 640, 320, 160)  # ms
SYSTEMS = {
    "greedy": DecoderOptions(beam=1),
    "beam, letters": DecoderOptions(lm=False),
    "beam, letters + LM": DecoderOptions(lexicon=False),
    "lexicon + LM": DecoderOptions(letter_weight=0.0, rnn_weight=0.0),
    "lexicon + LM + letters": DecoderOptions(rnn_weight=0.0),
    "lexicon + LM + letters + RNN": DecoderOptions(),
}
Heads = list[tuple[np.ndarray, np.ndarray | None]]


def all_log_probs(recognizer: Recognizer, utterances: list[Utterance]) -> Heads:
    """Log-probabilities of letters and phonemes of every utterance, computed in batches of like length."""
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration)
    found: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
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


def tune(model: AcousticModel, priors: dict, utterances: list[Utterance], heads: Heads) -> None:
    """A grid over the weights of language model, words, prior, letters and recurrent model, chosen on every second
    utterance; the best come last, with what they make of the others.
    """
    results = []
    for weight, bonus, prior in itertools.product((0.9, 1.1, 1.3), (0.0, 1.0), (0.3, 0.5)):
        words = LexiconOptions(lm_weight=weight, word_bonus=bonus, prior_weight=prior)
        decoder = Decoder(model, priors, DecoderOptions(words=words))
        searched = [(h[0], decoder.feed(decoder.start(), *h)) for h in heads]
        for letters, rnn in itertools.product((0.3, 0.45, 0.6), (0.0, 0.4, 0.6, 0.8)):
            decoder.options = replace(decoder.options, letter_weight=letters, rnn_weight=rnn)
            texts = [decoder.finish(state, of)[0].text for of, state in searched]
            halves = [rate(*word_errors([u.text for u in utterances[i::2]], texts[i::2])) for i in (1, 0)]
            results.append((halves, f"lm {weight}  bonus {bonus}  prior {prior}  letters {letters}  rnn {rnn}"))
    for (odd, even), setting in sorted(results, reverse=True)[-5:]:
        print(f"WER {100 * odd:.2f} %, on the others {100 * even:.2f} %  {setting}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="english")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    parser.add_argument("--full-only", action="store_true", help="leave out the streaming latencies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    utterances = read_manifest(options.manifest)
    utterances = utterances[:: options.every]
    model, card = load_model(options.model)
    priors = card.get("log_priors", {})
    decoders = {name: Decoder(model, priors, wanted) for name, wanted in SYSTEMS.items()}
    if options.tune:
        heads = all_log_probs(Recognizer(model, decoders["greedy"]), utterances)
        return tune(model, priors, utterances, heads)
    corpora = list(dict.fromkeys(u.corpus for u in utterances))
    print("| context | search | all | " + " | ".join(corpora) + " |\n" + "|---" * (len(corpora) + 3) + "|")
    for latency in LATENCIES[: 1 if options.full_only else None]:
        recognizer = Recognizer(model, decoders["greedy"], RecognizerOptions(latency=latency))
        heads = all_log_probs(recognizer, utterances)
        context = f"{latency} ms" if latency else "full"
        for name, decoder in decoders.items():
            texts = [decoder(*h)[0].text for h in heads]
            print(f"| {context} | {name} | {report(utterances, texts)} |", flush=True)


if __name__ == "__main__":
    main()
