"""Score a model on a manifest: greedy, beam, language model; full context and streaming latencies.

    python -m recipes.english.evaluate --model english DEV.jsonl

Whole clips go to the encoder, without voice activity detection; the search is that of `asr transcribe`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from asr.model.interface import Latency
from asr.model.onnx import load_model
from asr.score import interval, rate, word_errors
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.options import Weights
from asr.training.corpora import read
from asr.training.data import Utterance
from asr.training.run import all_posteriors

LATENCIES = (None, 1280, 640, 320, 160)  # ms
SYSTEMS = {
    "greedy": DecoderOptions(beam=1),
    "beam, letters": DecoderOptions(lm=False),
    "beam, letters + LM": DecoderOptions(lexicon=False),
    "lexicon + LM": DecoderOptions(weights=Weights(letters=0.0, rnn=0.0)),
    "lexicon + LM + letters": DecoderOptions(weights=Weights(rnn=0.0)),
    "lexicon + LM + letters + RNN": DecoderOptions(),
}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="manifest, or another corpus as `asr train` reads them")
    parser.add_argument("--model", default="english")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    parser.add_argument("--full-only", action="store_true", help="leave out the streaming latencies")
    options = parser.parse_args()
    utterances = read(options.manifest)[:: options.every]
    model, card = load_model(options.model)
    decoders = {name: Decoder(model, card, wanted) for name, wanted in SYSTEMS.items()}
    corpora = list(dict.fromkeys(u.corpus for u in utterances))
    print("| context | search | all | " + " | ".join(corpora) + " |\n" + "|---" * (len(corpora) + 3) + "|")
    for latency in LATENCIES[: 1 if options.full_only else None]:
        posteriors = all_posteriors(model, utterances, Latency.of(latency, model.options) if latency else None)
        context = f"{latency} ms" if latency else "full"
        for name, decoder in decoders.items():
            texts = [decoder(*h)[0].text for h in posteriors]
            print(f"| {context} | {name} | {report(utterances, texts)} |", flush=True)


if __name__ == "__main__":
    main()
