"""Training of the acoustic model, from augmented speech to weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from asr.audio.features import FRAMES_PER_SECOND
from asr.model.interface import Latency
from asr.model.network.checkpoint import save_model
from asr.model.network.ctc import CTCModel, ctc_loss
from asr.model.network.encoder import FULL
from asr.score import rate, word_errors
from asr.search.lexicon import Lexicon
from asr.text import Phonemes, collapse
from asr.training.augment import Augmenter
from asr.training.config import Stage, TrainOptions, learning_rate, random_latency, stage_at
from asr.training.data import Audio, Joined, Utterance, batches, chain, draw
from asr.training.fit import Muon, Plan, Progress, TrainingError, fit, pick_device, ranks, resume, save_state
from asr.training.log import RunLog

Targeted = tuple[Tensor, Tensor, list[list[int]], list[list[int] | None]]  # frames, lengths, letters, phonemes
Augmented = tuple[Targeted, Latency | None]  # a batch, and the latency at which it, or its second view, is heard


@dataclass
class RunProgress(Progress):
    """Where the training of an acoustic model stands."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    heard: float = 0.0  # s of augmented audio
    scale: float = 1.0  # of the learning rate: halved on every plateau
    bad: int = 0  # evaluations since the dev loss was lowest
    lowest: float = math.inf  # dev loss
    best: list[tuple[float, str]] = field(default_factory=list)  # dev error rate and file of the best checkpoints


def train(
    model: CTCModel,
    examples: Examples,
    dev: tuple[list[Utterance], Audio],
    options: TrainOptions,
    folder: Path,
    device: str | None = None,
) -> None:
    """Run (or resume) training in ``folder``; the average of the best checkpoints is left as model.safetensors.

    device: "cpu", "cuda", "cuda:1"; None takes a GPU if there is one. Raises TrainingError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, state = ranks()[0] == 0, folder / "state.safetensors"
    model.to(pick_device(device)).train()
    optimizer = Muon(model, options.learning_rate, options.weight_decay)
    progress = resume(state, model, optimizer, RunProgress())
    log, began, heard_before = RunLog(folder, progress.update, active=first), time.time(), progress.heard
    plan = Plan(
        options.updates,
        options.evaluate_every,
        lambda update: learning_rate(update, options) * progress.scale,
        options.clip,
        options.seed,
        state,
    )
    for means in fit(model, optimizer, examples.stream(progress), partial(losses, model, options), plan, progress):
        if not first:
            continue
        dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
        log.add(
            update=progress.update,
            epoch=progress.epoch,
            **means,
            dev_loss=dev_loss,
            dev_wer=dev_wer,
            audio_hours=progress.heard / 3600,
            audio_per_second=(progress.heard - heard_before) / (time.time() - began),
        )
        keep_best(model, dev_wer, progress, options.keep, folder)
        adapt(progress, dev_loss, options.patience)
        save_state(state, model, optimizer, progress)
        remove_all_but_best(folder, progress)
    if first:
        average(model, [folder / name for _, name in progress.best])
        dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
        card = {"dev_wer": dev_wer, "averaged": progress.best, "training": asdict(options)}
        save_model(model, folder / "model.safetensors", card)
        log.say(f"average of {len(progress.best)}: dev loss {dev_loss:.4f}, WER {100 * dev_wer:.2f} %")


def losses(model: CTCModel, options: TrainOptions, augmented: Augmented) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts: on the letters ("loss"), on the phonemes, of an attention decoder.

    Of two views of each example one is heard whole, the other one at the latency: so a stream, too, learns to agree
    with what a file's context says.
    """
    (frames, lengths, letters, phonemes), latency = augmented
    device = next(model.parameters()).device
    latencies = (FULL, latency) if options.consistency else (latency,)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        on_letters, on_phonemes, on_attention, between = model.losses(
            frames.to(device), lengths.to(device), letters, phonemes, latencies
        )
    loss = on_letters if on_phonemes is None else torch.lerp(on_letters, on_phonemes, options.phoneme_weight)
    if on_attention is not None:
        loss = torch.lerp(loss, on_attention, options.attention_weight)
    parts = {"loss": on_letters.item(), "phoneme_loss": math.nan if on_phonemes is None else on_phonemes.item()}
    if on_attention is not None:
        parts |= {"attention_loss": on_attention.item()}
    if between is not None:
        loss, parts = loss + options.consistency * between, parts | {"between_views": between.item()}
    return loss, parts


class Examples:
    """Batches of augmented log-mel frames with their targets, drawn anew for every epoch."""

    def __init__(
        self,
        utterances: list[Utterance],
        audio: Audio | Joined,
        augmenter: Augmenter,
        model: CTCModel,
        lexicon: Lexicon | None,
        options: TrainOptions,
    ):
        self.utterances, self.audio, self.augmenter, self.model = utterances, audio, augmenter, model
        self.options, self.lexicon = options, lexicon
        self.durations = np.array([u.duration for u in utterances])
        self.letters = [model.alphabet.encode(u.text) for u in utterances]
        spoken = [lexicon.pronounce(u.text) if lexicon else None for u in utterances]
        index = {p: i for i, p in enumerate(model.options.phonemes, start=1)}
        self.phonemes = [[index[p] for p in ps] if ps is not None and index else None for ps in spoken]

    def epoch(self, number: int, weights: dict[str, float], world: int = 1) -> list[list[list[int]]]:
        """The batches of an epoch as lists of chained utterance indices; the same on all ``world`` ranks."""
        o, rng = self.options, np.random.default_rng([self.options.seed, number])
        drawn = draw(self.utterances, weights, rng)
        examples = chain(drawn, self.durations, o.chained, o.chain_limit, rng)
        return list(batches(examples, self.durations, o.batch_seconds, rng, world))

    def stream(self, progress: RunProgress) -> Iterator[Augmented]:
        """One batch after the other, beginning where the progress stands; each depends on its update's number only."""
        plan: list[list[list[int]]] = []
        (rank, world), seed = ranks(), self.options.seed
        while True:
            number, _ = stage_at(progress.update, self.options)
            stage = self.options.stages[number]
            plan = self.next_plan(plan, stage, number, progress, world)
            latency = random_latency(stage, np.random.default_rng([seed, progress.update]))  # the same on every rank
            rng = np.random.default_rng([seed, progress.update, rank])
            batch = self.build(plan[progress.batch + rank], rng)
            progress.heard += world * float(batch[1].sum()) / FRAMES_PER_SECOND
            progress.batch += world
            yield batch, latency

    def next_plan(self, plan: list, stage: Stage, number: int, progress: RunProgress, world: int) -> list:
        """The batches of the epoch. A new one begins with a stage, and when too few batches are left for all ranks."""
        plan = plan or self.epoch(progress.epoch, stage.weights, world)
        if progress.stage != number or progress.batch + world > len(plan):
            progress.stage, progress.epoch, progress.batch = number, progress.epoch + 1, 0
            plan = self.epoch(progress.epoch, stage.weights, world)
        if len(plan) < world:
            raise TrainingError(
                f"an epoch of stage {number + 1} has {len(plan)} batches for {world} processes: "
                "give more data, smaller batches, or weights above 0"
            )
        return plan

    def build(self, batch: list[list[int]], rng: np.random.Generator) -> Targeted:
        """-> frames (B, T, n_mels), lengths (B,), letters, phonemes of each example; 2B where two views are wanted.

        The views differ in surroundings, warp and masks, not in speed and pauses: they last equally long.
        """
        frames, letters, phonemes = [], [], []
        for example in batch:
            if rng.random() < self.options.silent:
                seconds = sum(self.durations[i] for i in example)  # as long as what it is batched with, or a second
                example, view = [], partial(self.augmenter.background, max(1.0, seconds))
            else:
                spoken = self.augmenter.spoken([self.audio[i] for i in example], rng)
                view = partial(self.augmenter.heard, spoken)
            frames.append([self.seen(view(rng), rng) for _ in range(2 if self.options.consistency else 1)])
            space = [self.model.alphabet.index(" ")]
            letters.append([c for k, i in enumerate(example) for c in (space if k else []) + self.letters[i]])
            known = [ps for i in example if (ps := self.phonemes[i]) is not None]
            phonemes.append([p for ps in known for p in ps] if len(known) == len(example) else None)
        views = [*zip(*frames)]
        return *pad([f for view in views for f in view]), letters * len(views), phonemes * len(views)

    def seen(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples (n,) -> frames (T, n_mels), warped and masked."""
        o, fill = self.augmenter.options, self.model.mean.cpu().numpy()
        warped = self.model.frontend.warped(samples, rng.uniform(1 - o.warp, 1 + o.warp))
        return self.augmenter.frames(warped, fill, rng)


def pad(frames: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames of several utterances -> (B, T, n_mels) and their lengths (B,)."""
    lengths = torch.tensor([len(f) for f in frames])
    padded = torch.zeros(len(frames), int(lengths.max()), frames[0].shape[1])
    for row, f in zip(padded, frames):
        row[: len(f)] = torch.from_numpy(f)
    return padded, lengths


def measure_mean(model: CTCModel, examples: Examples, count: int = 200) -> None:
    """Global mean and deviation of the mel bands, over augmented training data."""
    rng = np.random.default_rng(examples.options.seed)
    picks = rng.integers(len(examples.utterances), size=count)
    seen = np.concatenate([model.frontend(examples.augmenter.waveform([examples.audio[i]], rng)) for i in picks])
    model.mean.copy_(torch.from_numpy(seen.mean(0)))
    model.deviation.copy_(torch.from_numpy(seen.std(0)))


@torch.inference_mode()
def evaluate(
    model: CTCModel,
    utterances: list[Utterance],
    audio: Audio,
    lexicon: Lexicon | None = None,
    seconds: float = 120,
) -> tuple[float, float]:
    """Greedy decoding of a dev set, on the model's device -> loss per frame, word error rate.

    Where phonemes are the units, those of the lexicon are decoded, and the rate is that of phonemes.
    """
    model.eval()
    by_phonemes = model.options.units == "phonemes"
    alphabet = Phonemes(model.options.phonemes) if by_phonemes else model.alphabet
    texts = [" ".join(lexicon.pronounce(u.text) or ()) if by_phonemes and lexicon else u.text for u in utterances]
    device = next(model.parameters()).device
    durations = np.array([u.duration for u in utterances])
    references, hypotheses, losses = [], [], []
    for batch in batches([[i] for i in range(len(utterances))], durations, seconds, np.random.default_rng(0)):
        frames, lengths = pad([model.frontend(audio[i]) for [i] in batch])
        targets = [alphabet.encode(texts[i]) for [i] in batch]
        with torch.autocast(device.type, dtype=torch.bfloat16):
            if by_phonemes:
                letters, phonemes, out_lengths = model.both(frames.to(device), lengths.to(device))
                log_probs = letters if phonemes is None else phonemes
            else:
                log_probs, out_lengths = model(frames.to(device), lengths.to(device))
        losses.append(ctc_loss(log_probs, out_lengths, targets).item())
        for row, n, [i] in zip(log_probs.argmax(-1).tolist(), out_lengths.tolist(), batch):
            references.append(texts[i])
            hypotheses.append(alphabet.decode(collapse(row[:n])))
    model.train()
    return float(np.mean(losses)), rate(*word_errors(references, hypotheses))


def adapt(progress: RunProgress, dev_loss: float, patience: int) -> None:
    """Halve the learning rate when the dev loss has stood on a plateau for ``patience`` evaluations."""
    progress.bad = 0 if dev_loss < progress.lowest else progress.bad + 1
    progress.lowest = min(dev_loss, progress.lowest)
    if progress.bad >= patience:
        progress.scale, progress.bad = progress.scale / 2, 0


def keep_best(model: CTCModel, wer: float, progress: RunProgress, keep: int, folder: Path) -> None:
    """Write a checkpoint, and enter it into the run's ``best`` if it is among so many."""
    name = f"update-{progress.update:06d}.safetensors"
    save_model(model, folder / name, {"dev_wer": wer})
    progress.best = sorted([*((w, n) for w, n in progress.best), (wer, name)])[:keep]


def remove_all_but_best(folder: Path, progress: RunProgress) -> None:
    """To be called when the state is saved: until then the one before may still want its checkpoints."""
    kept = {name for _, name in progress.best}
    for path in folder.glob("update-*.safetensors"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def average(model: CTCModel, paths: list[Path]) -> None:
    """Load the mean of several checkpoints' weights into the model."""
    states = [load_file(p) for p in paths]
    model.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})
