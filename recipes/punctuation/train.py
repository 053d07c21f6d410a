"""Train the tagger of marks and capitals, and package it: a quarter of an hour of one core.

    python -m recipes.punctuation.train WORK --run RUN --output asr/models/punctuation.safetensors

WORK: what recipes.punctuation.prepare left. Started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asr.commands.terminal import say
from asr.model.checkpoint import read_weights, store_int8, write_weights
from asr.training.fit import Muon, Plan, Progress, Schedule, fit, load_weights, resume, save_state
from asr.training.language_model import write_log
from asr.training.precision import autocast
from asr.written.tagger import FORMAT, MARKS, NONE, Vocabulary
from recipes.punctuation.batches import SHARES, Batch, Texts, read
from recipes.punctuation.network import TaggerNetwork, TaggerOptions, loss_of
from recipes.punctuation.text import UNKNOWN

LISTED = 21_000  # words with a vector of their own
STEPS = np.arange(-4, 9) / 10  # tried, of log-odds
WATCHED = 30  # texts of each source that progress is measured on
TABLES = ("words", "pieces")  # of vectors
OFTEN = 5  # times that a form such as "GitHub" has to be seen
LICENCE = "Apache-2.0; the text: CC BY-SA 3.0 and 4.0, CC BY 2.0, CC0, US public domain (punctuation.md)"


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("work", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder for state and log")
    parser.add_argument("--output", type=Path, required=True, help=".safetensors to write")
    parser.add_argument("--updates", type=int, default=2800)
    parser.add_argument("--start-from", type=Path, help="a packaged model whose weights and words are taken on")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the texts drawn: another one for each stretch (default: 1)"
    )
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="its peak (default: 4e-3)")
    args = parser.parse_args()

    torch.set_num_threads(1)
    words = (args.work / "words.txt").read_text("utf-8").split("\n")[:-1]
    sources = {name: read(args.work, name, "train") for name in SHARES}
    common = commonest(sources, len(words))
    torch.manual_seed(1)
    mixed = forms(json.loads((args.work / "mixed.json").read_text()))
    card: dict = {"licence": LICENCE}
    if args.start_from:
        model, vocabulary, older, before = unpacked(args.start_from)
        mixed, card, model.dropout.p = older | mixed, card | {"start": before}, TaggerOptions().dropout
    else:
        vocabulary = Vocabulary([words[i] for i in common[:LISTED]], TaggerOptions().rows)
        model = TaggerNetwork(TaggerOptions(), LISTED)
    texts = Texts(sources, words, vocabulary, common[: LISTED // 2])
    plan = Plan(args.updates, min(100, args.updates), rates(args.learning_rate, args.updates), seed=args.seed)
    train(model, texts, held_out(texts, args.work, WATCHED), args.run, plan)
    prefer(model, list(held_out(texts, args.work, 8 * WATCHED).values()))
    package(model, vocabulary, mixed, card | {"updates": args.updates, "shares": SHARES}, args.output)


def commonest(sources: dict, words: int) -> np.ndarray:
    """Numbers of words by how often they are met in training."""
    counts = sum(SHARES[n] * np.bincount(s.word, minlength=words) / len(s.word) for n, s in sources.items())
    return np.argsort(-counts, kind="stable")


def held_out(texts: Texts, work: Path, count: int) -> dict[str, Batch]:
    """Of each source some texts without pauses and errors."""
    found = {}
    for name in SHARES:
        source = read(work, name, "dev")
        places = np.linspace(0, len(source.starts) - 1, count).astype(int)
        spans = [(s, min(s + 96, source.document_end(s))) for s in source.starts[places].tolist()]
        rows = [(source.word[a:b], np.zeros(b - a), source.mark[a:b], source.case[a:b], source.opens[a:b])
                for a, b in spans]  # fmt: skip
        found[name] = texts.padded(rows)
    return found


def rates(peak: float, updates: int) -> Schedule:
    return Schedule(peak, min(100, updates // 10), (0.4 * updates, updates), floor=0.0)


def train(model: TaggerNetwork, texts: Texts, held: dict[str, Batch], folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    optimizer, state = Muon(model, plan.learning_rate(0), 1e-3), folder / "state.safetensors"
    plan, rows = replace(plan, state=state), []
    progress = resume(state, model, optimizer, Progress())
    model.train()
    for means in fit(model, optimizer, texts.stream(plan.seed, progress.update), partial(loss, model), plan, progress):
        row = {"update": progress.update} | means | measured(model, held)
        rows.append(row)
        write_log(folder / f"log-{rows[0]['update']}.csv", rows)
        save_state(state, model, optimizer, progress)
        say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))


def loss(model: TaggerNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    with autocast():
        logits = model(*batch.inputs)
    return loss_of(logits, batch.mark, batch.case, batch.opens)


@torch.inference_mode()
def measured(model: TaggerNetwork, held: dict[str, Batch]) -> dict[str, float]:
    """F1 of marks of each source."""
    model.eval()
    found = {}
    for name, batch in held.items():
        found[name] = micro_f1(model(*batch.inputs)[..., : len(MARKS)].argmax(-1), batch.mark)
    model.train()
    return found


def micro_f1(found: Tensor, mark: Tensor) -> float:
    """Of all marks together."""
    known = mark != UNKNOWN
    right = ((found == mark) & (found != NONE) & known).sum()
    return float(2 * right / (((found != NONE) & known).sum() + (mark > NONE).sum()))


@torch.inference_mode()
def prefer(model: TaggerNetwork, held: list[Batch]) -> None:
    """Add to each mark's log-odds what gives the best F1 on held-out texts, the mean of their kinds: a mark is rarer
    than none, so the likeliest answer leaves out too many.
    """
    model.eval()
    answers = [(model(*b.inputs)[..., : len(MARKS)], b.mark) for b in held]

    def mean(more: Tensor) -> float:
        return sum(micro_f1((logits + more).argmax(-1), mark) for logits, mark in answers) / len(answers)

    best = torch.zeros(len(MARKS))
    for _ in range(2):
        for mark in range(1, len(MARKS)):
            tried = [best + step * nn.functional.one_hot(torch.tensor(mark), len(MARKS)) for step in STEPS]
            best = max(tried, key=mean)
    say(f"preference of marks {best.tolist()}: F1 {mean(0 * best):.4f} -> {mean(best):.4f}")
    model.out.bias[: len(MARKS)] += best


def forms(mixed: dict[str, dict[str, int]]) -> dict[str, str]:
    """Words such as "github" -> their usual form."""
    best = {word: Counter(counts).most_common(1)[0] for word, counts in mixed.items()}
    return {word: form for word, (form, count) in best.items() if count >= OFTEN and form.isascii()}


def package(model: TaggerNetwork, vocabulary: Vocabulary, mixed: dict[str, str], card: dict, path: Path) -> None:
    """fp16; the tables of vectors and large matrices int8, with a scale for each row."""
    arrays = {name: weight.detach().numpy() for name, weight in model.state_dict().items()}
    stored = {name: array.astype(np.float16) for name, array in arrays.items()}
    for table in TABLES:
        array = arrays[f"{table}.weight"]
        scale = np.abs(array).max(1, keepdims=True) / 127
        stored[f"{table}.weight"] = np.round(array / scale).astype(np.int8)
        stored[f"{table}.scale"] = scale.astype(np.float16)
    stored["list"] = np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8)
    head = {"format": FORMAT, "options": asdict(model.options), "mixed": mixed, "card": card}
    write_weights(stored, path, False, head)
    store_int8(path)


def unpacked(path: Path) -> tuple[TaggerNetwork, Vocabulary, dict[str, str], dict]:
    """-> network, words, forms and card of a packaged tagger. Raises asr.model.checkpoint.CheckpointError."""
    stored, head = read_weights(path, FORMAT, "model of punctuation")
    options = TaggerOptions(**json.loads(head["options"]))
    vocabulary = Vocabulary(bytes(stored.pop("list")).decode().split(), options.rows)
    scales = {f"{table}.weight": stored.pop(f"{table}.scale").astype(np.float32) for table in TABLES}
    arrays = {name: array.astype(np.float32) * scales.get(name, 1) for name, array in stored.items()}
    model = TaggerNetwork(options, len(vocabulary.words))
    load_weights(model, {name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return model, vocabulary, json.loads(head["mixed"]), json.loads(head["card"])


if __name__ == "__main__":
    main()
