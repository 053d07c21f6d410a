"""The training of the trigger-word RNN: examples, loss, a loop that goes on where it was stopped; its file."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from asr.audio.features import LOG_FLOOR, LogMel, band_centres
from asr.files import atomic_write_bytes
from asr.training.augment import Scene, response
from asr.training.fit import Plan, Progress, Schedule, fit, resume, save_state
from asr.training.precision import autocast
from wakeword.detector import FORMAT, VERSION, DetectorOptions
from wakeword.synthesis import leave_ctrl_c
from wakeword.train import TriggerModel, TriggerOptions, extended_ones
from wakeword.train.examples import Mixer, MixOptions, Place, Samples, Sounds, cut, mine, negatives_of
from wakeword.train.validation import Phonemes, Validation, ValidationSet, measure, score

PRETRAINED_TRUNK = Path(__file__).parent.parent / "ear.safetensors"  # a trunk that knows the sounds of speech
Batch = tuple[tuple[Tensor, Tensor, Tensor], bool]  # frames, targets, weights; whether a turn begins
VIEWS = 2  # examples of a mix, in consecutive batches
STATE, BEST = "state.safetensors", "best.safetensors"  # in a training's folder


@dataclass(frozen=True)
class TrainOptions:
    updates: int = 1000
    batch: int = 32  # examples
    learning_rate: float = 2e-3
    warmup: int = 100  # updates
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most
    span: float = 0.4  # s after the word in which the target is 1: the extended ones
    unsure: float = 0.08  # s before and after that span that do not count
    warp: float = 0.12  # formants by 1 +- this much, of whole examples: more speakers than were synthesised
    smooth: int = 3  # steps whose mean is a score
    evaluate_every: int = 250  # updates
    hard: int = 400  # pieces that fooled the detector, found at every evaluation
    rate: float = 0.5  # false alarms an hour that the detector's threshold is chosen for
    processes: int = 2
    seed: int = 1
    mix: MixOptions = MixOptions()


class Examples(Dataset):
    """Example i: log-mel frames, targets, and which steps count; the same whenever it is asked for.

    A mix is dear to make and cheap to hear: VIEWS microphones hear each, near to its noise or far from it, and other
    speakers say it.
    """

    def __init__(self, mixer: Mixer, model: TriggerOptions, options: TrainOptions, first: int, count: int):
        """The mixes from number ``first`` on."""
        self.mixer = Mixer(mixer.sounds, replace(mixer.options, colour=0.0))  # the frames are coloured: no FFT
        self.mix, self.model, self.options = mixer.options, model, options
        self.first, self.count = first, count
        self.frontend, self._hz = LogMel(model.frontend), band_centres(model.frontend)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> (VIEWS, T, n_mels) float32, targets (n,), weights (n,)."""
        rng = np.random.default_rng([self.options.seed, self.first + i])
        scene, ends = self.mixer.scene(rng)
        frames = np.stack([self._heard(scene, rng) for _ in range(VIEWS)])
        targets, weights = labels(ends, frames.shape[1], self.model, self.options)
        return frames, targets, weights

    def _heard(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """-> (T, n_mels)"""
        warp, samples = self.options.warp, self.mixer.surroundings.recorded(scene, rng)
        frames = self.frontend.warped(samples, rng.uniform(1 - warp, 1 + warp))
        if rng.random() < self.mix.colour:
            louder = response(self._hz, rng, self.mix.telephone) * (np.log(10) / 10)
            frames = np.maximum(frames + louder.astype(np.float32), np.float32(np.log(LOG_FLOOR)))
        return frames


def labels(
    ends: tuple[int, ...], frames: int, model: TriggerOptions, options: TrainOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of words in samples -> extended-one targets (n,) and weights (n,), 0 at the span's blurred edges."""
    steps = (frames - model.kernel) // model.stride + 1
    hop, window = model.frontend.hop, model.frontend.window
    seen = [(end - window) / hop - (model.kernel - 1) for end in ends]  # frame at which a step's field ends there
    firsts = [max(0, int(np.ceil(s / model.stride))) for s in seen]
    span, unsure = (max(1, round(s / model.step_seconds)) for s in (options.span, options.unsure))
    targets = extended_ones(steps, firsts, span)
    around = extended_ones(steps, [max(0, f - unsure) for f in firsts], span + 2 * unsure)
    return targets, np.where((around == 1) & (targets == 0), 0, 1).astype(np.float32)


class CarriedLoss:
    """The loss of each batch. Streams last for hours: half of the examples begin in the state in which another one
    ended; at the first batch of a turn nothing has been heard."""

    def __init__(self, model: TriggerModel):
        self._model = model
        self._states: list | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        (frames, targets, weights), begins = batch
        states = None if begins or self._states is None else self._kept(self._states, len(frames))
        with autocast():
            logits, self._states = self._model(frames, states)
        return loss_of(logits.float(), targets, weights), {}

    def _kept(self, states: list, batch: int) -> list:
        keep = (torch.rand(1, batch, 1) < 0.5).float()

        def cut(state: Tensor | tuple) -> Tensor | tuple:
            return tuple(cut(s) for s in state) if isinstance(state, tuple) else state.detach() * keep

        return [cut(state) for state in states]


def loss_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over the steps that count."""
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * weights).sum() / weights.sum()


@dataclass
class WordProgress(Progress):
    """Where the training of a detector stands."""

    best: list[float] = field(default_factory=lambda: [2.0, 0.0])  # share missed, minus the distance
    hard: list[Place] = field(default_factory=list)  # where the negatives fooled the detector most
    seconds: float = 0.0  # of training so far


def train(
    model: TriggerModel,
    sounds: Sounds,
    held: ValidationSet,
    options: TrainOptions,
    folder: Path,
    report: Callable[[str], None],
    phonemes: Phonemes | None = None,
) -> Validation:
    """Run (or resume) training in ``folder`` -> what the best model does; its weights are in ``model`` afterwards.

    phonemes: what hears them beside it.
    """

    def judged() -> Validation:
        return measure(score(model, held, options.smooth), held, model.options, options.rate, phonemes)

    optimizer = torch.optim.AdamW(model.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    state, best = (folder / f"{_made_of(options, sounds)}-{name}" for name in (STATE, BEST))
    progress = resume(state, model, optimizer, WordProgress())
    if progress.update:
        report(f"going on after update {progress.update}")
    began, clips, every_thread = time.monotonic() - progress.seconds, negatives_of(sounds), torch.get_num_threads()
    schedule = Schedule(options.learning_rate, options.warmup, (options.warmup, options.updates), cosine=True)
    plan = Plan(options.updates, options.evaluate_every, schedule, options.clip, options.seed, state)
    batches = turns(model, sounds, clips, options, progress)
    model.train()
    with threads(1):  # the other cores make examples
        for means in fit(model, optimizer, batches, CarriedLoss(model), plan, progress):
            with threads(every_thread):
                measured = judged()
                progress.hard = mine(model, clips, options.hard)
            rank = [measured.missed[options.rate], -measured.distance]
            if rank <= progress.best:
                progress.best = rank
                atomic_write_bytes(best, save(model.state_dict()))
            progress.seconds = time.monotonic() - began
            save_state(state, model, optimizer, progress)
            to_go = progress.seconds / progress.update * (options.updates - progress.update)
            report(
                f"update {progress.update} of {options.updates}: loss {means['loss']:.4f}, held-out voices "
                f"missed at {options.rate:g} false alarms an hour {100 * rank[0]:.1f} %, {to_go / 60:.1f} min left"
            )
    model.load_state_dict(load_file(best))
    return judged()


def turns(
    model: TriggerModel, sounds: Sounds, clips: Sequence[Samples], options: TrainOptions, progress: WordProgress
) -> Iterator[Batch]:
    """Batches, and whether a turn begins with them: after every measurement other clips are the hard ones."""
    while True:
        turn = min(options.evaluate_every, options.updates - progress.update)
        mixer = Mixer(replace(sounds, hard=cut(clips, progress.hard)), options.mix)
        first, count = (-(-updates // VIEWS) * options.batch for updates in (progress.update, turn))
        examples = Examples(mixer, model.options, options, first, count)
        for number, batch in enumerate(islice(views(examples, options), turn)):
            yield batch, number == 0


def views(examples: Examples, options: TrainOptions) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Frames (B, T, n_mels), targets, weights: a batch for each of the microphones that hear the same mixes."""
    for frames, targets, weights in loader(examples, options.batch, options.processes):
        for view in range(VIEWS):
            yield frames[:, view], targets, weights


def _made_of(options: TrainOptions, sounds: Sounds) -> str:
    """A training goes on from its own state only."""
    lengths = {name: [len(clip) for clip in clips] for name, clips in vars(sounds).items()}
    return f"{zlib.crc32(repr((replace(options, processes=1), lengths)).encode()):08x}"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch computes with so many threads for as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forget(folder: Path) -> None:
    """Remove what a finished training leaves in its folder."""
    for path in [*folder.glob(f"*-{STATE}"), *folder.glob(f"*-{BEST}")]:
        path.unlink()


def loader(examples: Dataset, batch: int, processes: int) -> DataLoader:
    """Batches in order; so many processes make examples, beside this one; if it is to be one, this one does."""
    workers = processes if processes > 1 else 0
    return DataLoader(
        examples,
        batch,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
        worker_init_fn=leave_ctrl_c,
    )


def measure_bands(model: TriggerModel, sounds: Sounds, options: TrainOptions, count: int = 100) -> None:
    """Global mean and deviation of the mel bands, over the examples."""
    examples = Examples(Mixer(sounds, options.mix), model.options, replace(options, seed=options.seed + 1), 0, count)
    frames = np.concatenate([examples[i][0] for i in range(count)])  # (count VIEWS, T, n_mels)
    model.mean.copy_(torch.from_numpy(frames.mean((0, 1))))
    model.deviation.copy_(torch.from_numpy(frames.std((0, 1))))


def start_from(model: TriggerModel, path: Path) -> bool:
    """Take over the trunk of a pretrained ear where its shape is the model's; False where it is not."""
    with safe_open(path, framework="pt") as file:
        ear = {key: file.get_tensor(key).float() for key in file.keys()}
        fits = json.loads(file.metadata()["options"]) == model.options.asdict()
    if fits:
        model.load_state_dict(ear, strict=False)
    return fits


def save_detector(model: TriggerModel, path: Path, card: dict, options: DetectorOptions) -> None:
    """The detector's file: weights in fp16, and everything that rebuilds and explains it."""
    weights = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    head = {"format": FORMAT, "version": VERSION, "options": json.dumps(model.options.asdict())}
    head["card"] = json.dumps(card | {"detector": asdict(options)})
    atomic_write_bytes(path, save(weights, head))
