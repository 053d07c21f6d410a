"""How well a closed set of commands is told from each other and from all else.

    python -m recipes.english.commands SPEECH.jsonl --others DEV.jsonl --thresholds 1 2 2.5 3 4

The commands are the short texts of the first manifest, spelt names left out. Clips that say one of them should give
it; all other clips of both manifests should give nothing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from asr.model.onnx import load_model
from asr.search.decoder import Decoder, DecoderOptions
from asr.training.data import read_manifest
from asr.training.run import all_posteriors


def closed_set(texts: Sequence[str], count: int) -> list[str]:
    """The most frequent texts of one to three words, none of them a letter."""
    fit = [t for t, _ in Counter(texts).most_common() if len(t.split()) <= 3 and min(map(len, t.split())) > 1]
    return fit[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="manifests of other speech")
    parser.add_argument("--model", default="english")
    parser.add_argument("--count", type=int, default=40, help="of the commands")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[DecoderOptions.rejection])
    options = parser.parse_args()
    torch.set_num_threads(1)
    first, *others = [read_manifest(path)[:: options.every] for path in (options.manifest, *options.others)]
    commands = closed_set([u.text for u in first], options.count)
    utterances = [u for some in (first, *others) for u in some]
    model, card = load_model(options.model)
    posteriors = all_posteriors(model, utterances)
    print(f"{len(commands)} commands: {', '.join(commands)}")
    print("| threshold | commands right | other speech accepted | of one to three words |\n|---|---|---|---|")
    for threshold in options.thresholds:
        decoder = Decoder(model, {}, DecoderOptions(commands=tuple(commands), rejection=threshold))
        found = [decoder(*h)[0].text for h in posteriors]
        right = [f == u.text for f, u in zip(found, utterances) if u.text in commands]
        accepted = [(bool(f), len(u.text.split()) <= 3) for f, u in zip(found, utterances) if u.text not in commands]
        short = [a for a, is_short in accepted if is_short]
        cells = [f"{threshold:g}", share(right), share([a for a, _ in accepted]), share(short)]
        print("| " + " | ".join(cells) + " |", flush=True)


def share(hits: Sequence[bool]) -> str:
    return f"{100 * np.mean(hits):.1f} % ({sum(hits)} of {len(hits)})" if hits else "none"


if __name__ == "__main__":
    main()
