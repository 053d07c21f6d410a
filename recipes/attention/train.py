"""Train the attention decoder on a frozen encoder: manifests in, NAME-attention.safetensors out.

    python -m recipes.attention.train --out work/attention --noise noise.jsonl --dev dev.jsonl TRAIN.jsonl...

Encoding takes longer than a decoder's update: so each encoded batch of augmented speech is kept for a while, and the
decoder learns from it several times. (Encoder and decoder together: asr train --config with a section [attention].)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.attention.decoder import AttentionDecoder, letter_frames
from asr.attention.joint import FORMAT, JointModel, fingerprint
from asr.attention.search import EOS
from asr.errors import Error
from asr.model.checkpoint import AttentionOptions, read_weights, write_weights
from asr.model.network.ctc import CTCModel, load_network, tensors
from asr.score import rate, word_errors
from asr.training.acoustic import RunLog
from asr.training.augment import Augmenter
from asr.training.config import read_config, read_noises
from asr.training.data import Audio, Joined, Utterance, read_manifest
from asr.training.examples import Examples, batches, pad
from asr.training.fit import Muon, Plan, Progress, Schedule, fit
from asr.training.precision import autocast, fast_dtype

HERE = Path(__file__).parent
REUSE = 6  # updates for each batch that is encoded
POOL = 250  # encoded batches that are kept, the latest: 1 GB at 120 s each


@dataclass(frozen=True)
class Encoded:
    """A batch as the decoder gets it."""

    hidden: Tensor  # (B, T, size), bf16
    lengths: Tensor  # (B,)
    letters: list[list[int]]
    spoken: list[list[int]]  # the frame of each letter


@torch.no_grad()
def encode(model: CTCModel, frames: Tensor, lengths: Tensor, letters: list[list[int]]) -> Encoded:
    with autocast():
        hidden, lengths = model.encode(frames, lengths)
        log_probs = model.letters(hidden)
    return Encoded(hidden[-1].bfloat16(), lengths, letters, letter_frames(log_probs, lengths, letters))


def fresh(model: CTCModel, examples: Examples) -> Iterator[Encoded]:
    """Augmented speech, an epoch after the other."""
    for epoch in count():
        for number, batch in enumerate(examples.epoch(epoch, examples.options.stages[0].weights)):
            rng = np.random.default_rng([examples.options.seed, epoch, number])
            frames, lengths, letters, *_ = examples.build(batch, rng)
            yield encode(model, frames, lengths, letters)


def encode_dev(model: CTCModel, utterances: list[Utterance], audio: Audio) -> tuple[list[Encoded], list[str]]:
    """-> batches, and the texts in their order."""
    durations = np.array([u.duration for u in utterances])
    plan = list(batches([[i] for i in range(len(utterances))], durations, 120, np.random.default_rng(0)))
    found = []
    for batch in plan:
        frames, lengths = pad([model.frontend(audio[i]) for [i] in batch])
        found.append(encode(model, frames, lengths, [model.alphabet.encode(utterances[i].text) for [i] in batch]))
    return found, [utterances[i].text for batch in plan for [i] in batch]


@torch.no_grad()
def greedy(decoder: AttentionDecoder, hidden: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest letter, again and again, of each utterance: at most one a frame."""
    memory, letters = decoder.remember(hidden, lengths), [[] for _ in lengths]
    state, before = decoder.start(memory, len(hidden)), torch.full((len(hidden),), EOS, device=hidden.device)
    ended = lengths.cpu() == 0
    for length in range(1, hidden.shape[1] + 1):
        read, state = decoder.step(memory, state, decoder.embedding(before))
        before = decoder.log_probs(read).argmax(-1)
        ended |= before.cpu() == EOS
        if ended.all():
            break
        for i in (~ended).nonzero()[:, 0].tolist():
            letters[i].append(int(before[i]))
        ended |= lengths.cpu() <= length
    return letters


@torch.no_grad()
def evaluate(decoder: AttentionDecoder, dev: list[Encoded], texts: list[str]) -> tuple[float, float]:
    """-> loss a frame, word error rate of greedy decoding."""
    decoder.eval()
    losses = [decoder.loss(b.hidden.float(), b.lengths, b.letters, b.spoken).item() for b in dev]
    spelled = [letters for b in dev for letters in greedy(decoder, b.hidden.float(), b.lengths)]
    decoder.train()
    return float(np.mean(losses)), rate(*word_errors(texts, [decoder.alphabet.decode(s) for s in spelled]))


def train(
    model: CTCModel,
    decoder: AttentionDecoder,
    examples: Examples,
    dev: tuple[list[Utterance], Audio],
    folder: Path,
    minutes: float,
) -> dict:
    """Train the model's decoder until the updates are done or the minutes are over -> notes for its card."""
    o, began, progress = examples.options, time.time(), Progress()
    optimizer, log = Muon(decoder, o.learning_rate, o.weight_decay), RunLog(folder)
    schedule = Schedule(o.learning_rate, o.warmup, (0, o.updates))

    def elapsed(update: int) -> int:
        """The number of an update as if the minutes were as many updates as are planned."""
        return max(update, int(o.updates * (time.time() - began) / 60 / minutes))

    plan = Plan(o.updates, o.evaluate_every, lambda update: schedule(elapsed(update)), o.clip, o.seed)
    dev_batches, texts = encode_dev(model, *dev)
    decoder.train()
    for means in fit(decoder, optimizer, pooled(model, examples), partial(loss_of, decoder), plan, progress):
        dev_loss, dev_wer = evaluate(decoder, dev_batches, texts)
        spent = (time.time() - began) / 60
        log.add(update=progress.update, **means, phoneme_loss=np.nan, dev_loss=dev_loss, dev_wer=dev_wer, minutes=spent)
        if spent >= minutes:
            break
    return {"dev_wer_greedy": dev_wer, "updates": progress.update, "minutes": round(spent, 1)}


def pooled(model: CTCModel, examples: Examples) -> Iterator[Encoded]:
    """Encoded batches at random from the latest, one of which is new each ``REUSE`` times."""
    pool: list[Encoded] = []
    rng = np.random.default_rng(examples.options.seed)
    for batch in fresh(model, examples):
        pool = [*pool[-POOL + 1 :], batch]
        for _ in range(REUSE):
            yield pool[rng.integers(len(pool))]


def loss_of(decoder: AttentionDecoder, b: Encoded) -> tuple[Tensor, dict[str, float]]:
    with autocast():
        return decoder.loss(b.hidden.to(fast_dtype()), b.lengths, b.letters, b.spoken), {}


def run(options: argparse.Namespace) -> None:
    wanted, train_options, augment_options = read_config(options.config, None)
    encoder, card = load_network(options.encoder)
    torch.manual_seed(train_options.seed)
    model = JointModel(replace(encoder.options, attention=wanted.attention or AttentionOptions()))
    weights = {k: v for k, v in encoder.state_dict().items() if not k.startswith("attention.")}
    model.load_state_dict(weights, strict=False)
    model.requires_grad_(False).eval()
    decoder = model.attention
    assert decoder  # the options ask for one
    decoder.requires_grad_(True)
    if options.start_from:
        decoder.load_state_dict(tensors(read_weights(options.start_from, FORMAT, "attention decoder")[0]))
    cache = options.out / "cache"
    corpora = [read_manifest(m) for m in options.manifests]
    audio = Joined(corpora, cache)
    augmenter = Augmenter(augment_options, read_noises(options.noise))
    examples = Examples([u for c in corpora for u in c], audio, augmenter, model, None, train_options)
    dev = read_manifest(options.dev)
    results = train(model, decoder, examples, (dev, Audio(dev, cache)), options.out, options.minutes)
    target = options.out / f"{Path(options.encoder).stem}-attention.safetensors"
    notes = {
        "name": target.stem,
        "encoder": Path(options.encoder).stem,
        "licence": "Apache-2.0",
        "data": card.get("data", ""),
    }
    save_attention(model, target, notes | results | {"command": "python -m recipes.attention.train"})
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB; copy it beside the encoder's checkpoint")


def save_attention(model: JointModel, path: Path, card: dict) -> None:
    """Write the attention decoder alone, fp16, with the fingerprint of the encoder it was trained on."""
    decoder = model.attention
    assert decoder, "the model has no attention decoder"
    head = {"format": FORMAT, "options": vars(decoder.options), "card": card}
    write_weights(decoder.state_dict(), path, True, head | {"encoder": fingerprint(model)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", help="training manifests")
    parser.add_argument("--out", type=Path, required=True, help="folder for the decoder, log and curves")
    parser.add_argument("--dev", type=Path, required=True, help="manifest that the log's error rates are of")
    parser.add_argument("--encoder", default="english", help="packaged model or checkpoint file (default: english)")
    parser.add_argument("--start-from", type=Path, metavar="DECODER", help="weights to begin with (default: random)")
    parser.add_argument("--noise", type=Path, help="manifest of background noises")
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after so many, the learning rate fallen")
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        run(options)
    except (Error, OSError) as error:
        sys.exit(f"train: {error}")


if __name__ == "__main__":
    main()
