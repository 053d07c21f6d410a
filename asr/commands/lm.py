"""The command `asr lm`: train language models, score sentences, measure perplexity, make sentences up."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from asr.commands.terminal import number, positive, say
from asr.errors import UsageError
from asr.files import STDIN, as_spoken, each_line, read_lines, spoken
from asr.language import arpa, kneser_ney, ngram
from asr.language.counts import count
from asr.language.ngram import NgramModel
from asr.language.numbered_text import Unused
from asr.language.open import DEFAULT, open_language, per_token, sample, spaced
from asr.text import normalise

LN10 = math.log(10)
ABOVE_0 = number(sys.float_info.max, "not a number above 0")
CHARACTERS = 6  # in the longest n-grams of a model of characters, by default
NGRAM = ("order", "min_word", "min_counts", "max_ngrams", "work")  # options of one kind of model only
RNN = ("cell", "hidden", "epochs")


def add_lm(p: argparse.ArgumentParser) -> None:
    p.description = "Train language models, score sentences with them, let them make sentences up."
    parts = p.add_subparsers(title="subcommands", required=True, metavar="SUBCOMMAND")
    add_train(parts.add_parser("train", help="train an n-gram or a recurrent model on text"))
    score = parts.add_parser("score", help="log10 probability, perplexity and text of each sentence")
    score.set_defaults(run=score_lines)
    whole = parts.add_parser("perplexity", help="of a whole text")
    whole.set_defaults(run=print_perplexity)
    for q in (score, whole):
        q.add_argument("text", metavar="FILE", help="sentences, one a line: a text file, .xz, or - for standard input")
        _add_raw(q)
    speak = parts.add_parser("say", help="make sentences up")
    speak.set_defaults(run=say_sentences)
    speak.add_argument("--count", type=positive, default=5, metavar="N", help="sentences (default: 5)")
    speak.add_argument("--words", type=positive, default=30, metavar="N", help="at most, or characters (default: 30)")
    speak.add_argument("--temperature", type=ABOVE_0, default=1.0, metavar="T", help="below 1 tamer, above odder")
    speak.add_argument("--seed", type=int, metavar="N", help="the same sentences again")
    for q in (score, whole, speak):
        q.add_argument("--model", default=DEFAULT, metavar="NAME", help="packaged (english-lm, english-rnn) or a file")


def add_train(p: argparse.ArgumentParser) -> None:
    p.description = "Train an n-gram model (modified Kneser-Ney), or with --rnn a recurrent one."
    p.add_argument("text", nargs="+", metavar="TEXT", help="sentences, one a line: text files, .xz, or -")
    p.add_argument("--output", required=True, type=Path, metavar="FILE", help=".npz or .arpa; .safetensors with --rnn")
    p.add_argument("--max-words", type=positive, metavar="N", help="keep the most frequent; others become <unk>")
    p.add_argument("--unit", choices=("word", "character"), default="word", help="what is predicted (default: word)")
    _add_raw(p)
    n = p.add_argument_group("n-gram model")
    n.add_argument("--order", type=positive, metavar="N",
                   help="of the longest n-grams (default: 3 words, or 6 characters)")  # fmt: skip
    n.add_argument("--min-word", type=positive, metavar="N", help="words seen less often become <unk>")
    n.add_argument("--min-counts", type=positive, nargs="+", metavar="N", help="of each order; rarer ones go")
    n.add_argument("--max-ngrams", type=positive, metavar="N", help="prune to about so many, by entropy")
    n.add_argument("--work", type=Path, metavar="FOLDER",
                   help="for counts, kept; the same command again goes on where it was stopped")  # fmt: skip
    r = p.add_argument_group("recurrent model")
    r.add_argument("--rnn", action="store_true", help="train one; the same command again goes on where it was stopped")
    r.add_argument("--cell", choices=("gru", "lstm", "peephole"), help="(default: gru)")
    r.add_argument("--hidden", type=positive, metavar="N", help="size of the state (default: 384)")
    r.add_argument("--epochs", type=ABOVE_0, metavar="N", help="times through the text (default: 4)")
    p.set_defaults(run=train)


def _add_raw(p: argparse.ArgumentParser) -> None:
    p.add_argument("--raw", action="store_true", help="take text as it is, not lower-cased and cut to a-z and '")


def train(options: argparse.Namespace) -> None:
    _check(options)
    if options.text.count(STDIN) > 1:
        raise UsageError("standard input can be read once only: name - once")
    try:
        train_rnn(options) if options.rnn else train_ngram(options)
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from None


def _check(options: argparse.Namespace) -> None:
    """Before the work, not after it."""
    if others := _given(options, NGRAM if options.rnn else RNN):
        names = ", ".join("--" + name.replace("_", "-") for name in others)
        raise UsageError(f"{names}: not for {'a recurrent' if options.rnn else 'an n-gram'} model; leave it out")
    path, wanted = options.output, (".safetensors",) if options.rnn else (".npz", ".arpa")
    if path.suffix not in wanted:
        kind = "a recurrent model" if options.rnn else "an n-gram model"
        raise UsageError(f"cannot write {kind} to {path}: give a name that ends in {' or '.join(wanted)}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: name a file in a folder that exists and can be written to")


def _given(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def train_ngram(options: argparse.Namespace) -> None:
    given = _given(options, (*NGRAM, "max_words"))
    work = given.pop("work", None)
    if "min_counts" in given:
        given["min_counts"] = tuple(given["min_counts"])
    if options.unit == "character":
        given.setdefault("order", CHARACTERS)
    made = kneser_ney.TrainingOptions(**given)
    with nullcontext(work) if work else TemporaryDirectory() as folder:
        lines = itertools.chain.from_iterable(map(each_line, options.text))
        counts = count(lines, made.order, made.vocabulary, Path(folder), _prepared(options))
        model = kneser_ney.from_counts(counts, made)
    _say_unused(counts.unused, options.raw)
    (arpa.write if options.output.suffix == ".arpa" else ngram.save)(model, options.output)
    say(f"{options.output}: {_sizes(model)}, from {counts.unused.read - counts.unused.lines} lines")


def _prepared(options: argparse.Namespace) -> Callable[[str], str]:
    """What is done to every line: case is folded, and so on, and characters become tokens."""
    folded = str.strip if options.raw else as_spoken
    return (lambda line: spaced(folded(line))) if options.unit == "character" else folded


def _say_unused(unused: Unused, raw: bool) -> None:
    if unused.lines:
        why = "nothing is left of them" if raw else "they hold digits, or no letters"
        say(f"{unused.lines} of {unused.read} lines left out, {unused.words} words: {why}")


def _sizes(model: NgramModel) -> str:
    return ", ".join(f"{size} {n}-grams" for n, size in enumerate(model.sizes, start=1))


def train_rnn(options: argparse.Namespace) -> None:
    from asr.language.rnn_network import SPECIAL, LanguageOptions
    from asr.training.language_model import LanguageTraining, train_on_text

    given = _given(options, ("epochs", "max_words"))
    if "max_words" in given:
        given["vocabulary"] = given.pop("max_words") + len(SPECIAL)
    model = LanguageOptions(**_given(options, ("cell", "unit", "hidden")))
    read = [line for path in options.text for line in read_lines(path)]
    lines = read if options.raw else spoken(read)
    unused = [] if options.raw else [line for line in read if not as_spoken(line)]
    _say_unused(Unused(len(read), len(unused), sum(len(line.split()) for line in unused)), options.raw)
    train_on_text(lines, model, LanguageTraining(**given), options.output, say)


def score_lines(options: argparse.Namespace) -> None:
    """A line for each sentence: log10 probability, perplexity, the sentence."""
    model, lines = open_language(options.model, options.raw), _lines(options)
    for line, score in zip(lines, model.ln_probability(lines)):
        print(f"{score / LN10:.4f}\t{per_token(score, len(model.tokens(line)) + 1):.2f}\t{line}")


def print_perplexity(options: argparse.Namespace) -> None:
    model, lines = open_language(options.model, options.raw), _lines(options)
    tokens = [token for line in lines for token in model.tokens(line)]
    unknown = sum(not model.knows(token) for token in tokens)
    value = per_token(sum(model.ln_probability(lines)), len(tokens) + len(lines))
    print(f"{value:.2f}\t{len(lines)} sentences\t{len(tokens)} tokens\t{unknown} unknown")


def say_sentences(options: argparse.Namespace) -> None:
    model, rng = open_language(options.model), np.random.default_rng(options.seed)
    for _ in range(options.count):
        print(sample(model, rng, options.temperature, options.words), flush=True)


def _lines(options: argparse.Namespace) -> list[str]:
    lines = read_lines(options.text)
    return lines if options.raw else [normalise(line) for line in lines]
