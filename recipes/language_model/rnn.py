"""Train the packaged recurrent language model on the text of the packaged n-gram.

    python -m recipes.language_model.rnn TEXT_FOLDER --without dev.jsonl --work RUN \\
        --output asr/models/english-rnn.safetensors

Started again it goes on where it was; with fewer --epochs the learning rate falls sooner.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import torch

from asr.commands.terminal import say
from asr.language.rnn_network import LanguageOptions, RnnLanguageModel, load, perplexity, save
from asr.training.language_model import LanguageTraining, train, vocabulary
from recipes.language_model.older_text import manifest_texts, sentences, split

WATCHED = 400  # of the held-out lines, while training
LICENCE = "Apache-2.0; the text: CC0, CC BY 3.0 and 4.0, US public domain (english-rnn.md)"


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("folder", type=Path, help="with SOURCES.md and the .txt.xz files")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="manifests, texts to leave out")
    parser.add_argument("--work", type=Path, required=True, help="folder for the state and the log")
    parser.add_argument("--output", type=Path, required=True, help=".safetensors to write, fp16")
    parser.add_argument("--epochs", type=float, default=1.0)
    args = parser.parse_args()

    torch.set_num_threads(1)
    unseen = {path: manifest_texts(path) for path in args.without}
    lines, held_out = split(sentences(args.folder), {text for texts in unseen.values() for text in texts})
    training = LanguageTraining(epochs=args.epochs)
    words, others = vocabulary(lines, "word", training.vocabulary)
    torch.manual_seed(training.seed)
    model = RnnLanguageModel(replace(LanguageOptions(), unlisted=others), words)
    train(model, lines, held_out[:WATCHED], training, args.work, say)

    model = load(args.work / "model.safetensors")
    results = {"held out": perplexity(model, held_out)}
    results |= {path.name: perplexity(model, texts) for path, texts in unseen.items()}
    for name, value in results.items():
        say(f"{name}: perplexity {value:.1f} with {len(words)} words")
    save(model, args.output, {"licence": LICENCE, "perplexity": results, "training": asdict(training)})


if __name__ == "__main__":
    main()
