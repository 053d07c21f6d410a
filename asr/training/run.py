"""A whole training: utterances and a configuration in, a run folder with a model ready for use out."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asr import __version__
from asr.attention.joint import JointModel, load_joint
from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.model.interface import AcousticModel, Latency
from asr.model.network.ctc import CTCModel, save_model
from asr.model.streaming import Posteriors, encode
from asr.search.lexicon import Lexicon
from asr.text import learn
from asr.training.acoustic import train
from asr.training.augment import Augmenter
from asr.training.config import Configuration, TrainOptions, as_toml, read_config
from asr.training.ctc_crf import CtcCrf, phoneme_trigram
from asr.training.data import Audio, Joined, Utterance, measured, read_samples
from asr.training.examples import Examples, measure_mean
from asr.training.fit import TrainingError, load_weights, ranks
from asr.training.teacher import Teacher

PRIOR_CLIPS = 240
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Material:
    """What is learnt from."""

    corpora: list[list[Utterance]]
    dev: list[Utterance]  # picks the best checkpoints
    noises: list[np.ndarray] = field(default_factory=list)
    lexicon: Lexicon | None = None  # for a second head, on phonemes
    teacher: Teacher | None = None  # whose frames are a further target


def train_run(
    material: Material,
    configuration: Configuration,
    folder: Path,
    start: str | Path | None = None,
    device: str | None = None,
) -> Path:
    """Train in ``folder``, or go on there -> its model.safetensors, with a card that the search can use.

    start: weights to begin with, of the same shape; those of an attention decoder may be missing, and those by which
        the head of the phonemes reads the last layer.
    Raises ManifestError, CheckpointError, TrainingError, ValueError, OSError.
    """
    model_options, train_options, augment_options = configuration
    texts, lexicon = [u.text for c in material.corpora for u in c], material.lexicon
    if model_options.units == "subwords" and not model_options.scores:
        symbols, scores = learn(texts, model_options.pieces)
        model_options = replace(model_options, symbols=symbols, scores=scores)
    if model_options.units == "phonemes" or train_options.crf:
        if not lexicon:
            what = "CTC-CRF (crf = true) needs" if train_options.crf else "phonemes as units need"
            raise Error(f"{what} a lexicon: pip install 'asr[train]', or give a --lexicon")
        lexicon = lexicon.with_guesses([*texts, *(u.text for u in material.dev)])
    torch.manual_seed(train_options.seed)
    model, cache = JointModel(model_options), folder / "cache"
    audio = Joined(material.corpora, cache)
    utterances = measured([u for c in material.corpora for u in c], audio)
    augmenter = Augmenter(augment_options, material.noises, audio)  # of others in it who talk at the same time, too
    examples = Examples(utterances, audio, augmenter, model, lexicon, train_options, material.teacher)
    if material.teacher:
        model.teacher_head = nn.Linear(len(model_options.read[1]) * model.encoder.size, material.teacher.size)
    if start:
        load_weights(model, begun_with(model, load_joint(start)[0]), start)
    else:
        measure_mean(model, examples)
    if train_options.crf:
        model.phoneme_loss = _crf(examples, train_options)
    dev_audio = Audio(material.dev, cache)
    dev = measured(material.dev, dev_audio)
    if ranks()[0] == 0:
        keep_record(folder, configuration, {"train": utterances, "dev": dev}, str(start) if start else None)
    train(model, examples, (dev, dev_audio), train_options, folder, device)
    if ranks()[0] == 0:
        _add_priors(folder / "model.safetensors", utterances, audio)
    return folder / "model.safetensors"


def _crf(examples: Examples, options: TrainOptions) -> CtcCrf:
    """CTC-CRF with a trigram of the training texts' phonemes, each corpus counted by its weight in the last stage."""
    weights, spoken = options.stages[-1].weights, []
    for utterance, phonemes in zip(examples.utterances, examples.phonemes):
        if phonemes:
            spoken += [phonemes] * max(1, round(weights.get(utterance.corpus, 1.0)))
    return CtcCrf(phoneme_trigram(spoken, len(examples.model.options.phonemes) + 1), options.ctc_share)


def begun_with(model: CTCModel, other: CTCModel) -> dict[str, Tensor]:
    """The other's weights; what only this one has: of further heads as it is, of the phonemes' head zeros."""
    own = ("attention.", "teacher_head.")
    weights = {k: v for k, v in model.state_dict().items() if k.startswith(own)} | other.state_dict()
    if model.options.deep_phonemes and other.options.phonemes and not other.options.deep_phonemes:
        narrow = weights["phoneme_head.weight"]
        weights["phoneme_head.weight"] = torch.cat([narrow, torch.zeros_like(narrow)], 1)
    return weights


def _add_priors(path: Path, utterances: list[Utterance], audio: Joined) -> None:
    """The search divides a model's outputs by what it expects before it hears anything: on its card."""
    model, card = load_joint(path)
    clips = spread(utterances, min(PRIOR_CLIPS, len(utterances)))
    save_model(model, path, card | {"log_priors": log_priors(model, (audio[i] for i in clips))})


# the record of a run: config.toml and record.json beside its weights, so that it can be repeated


def keep_record(
    folder: Path, configuration: Configuration, sets: dict[str, Sequence[Utterance]], start: str | None
) -> None:
    """Write what the run is made of; a run that goes on adds when and how. Raises TrainingError if it differs."""
    folder.mkdir(parents=True, exist_ok=True)
    made_of = {
        "seed": configuration[1].seed,
        "started_from": start,
        "data": {name: describe(utterances) for name, utterances in sets.items()},
    }
    path, config, text = folder / "record.json", folder / "config.toml", as_toml(configuration)
    goes_on = path.exists() and (folder / "state.safetensors").exists()
    record = json.loads(path.read_text()) if goes_on else {**made_of, "runs": []}
    changed = [name for name in made_of if record[name] != made_of[name]]
    if goes_on and not changed and as_toml(read_config(config, None)) != text:  # of new settings it has the defaults
        changed = ["configuration"]
    if goes_on and changed:
        raise TrainingError(
            f"{folder} holds a run that began with another {changed[0].replace('_', ' ')}: name another folder, "
            "or give the same again to go on with it"
        )
    record["runs"].append(circumstances())
    atomic_write_bytes(config, text.encode())
    atomic_write_bytes(path, (json.dumps(record, indent=1) + "\n").encode())


def describe(utterances: Sequence[Utterance]) -> dict:
    """How much there is, and a fingerprint: the same for the same files with the same texts."""
    listing = "\n".join(f"{u.name}\t{u.text}" for u in utterances)
    return {
        "utterances": len(utterances),
        "hours": round(sum(u.duration for u in utterances) / 3600, 4),
        "fingerprint": hashlib.sha256(listing.encode()).hexdigest()[:16],
    }


def circumstances() -> dict:
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "commit": commit(),
        "versions": {"asr": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def commit() -> str:
    """Of the source, "+" behind it where it was changed; "" where git doesn't know."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


BATCH = 16  # utterances of like length


def all_posteriors(
    model: AcousticModel, utterances: list[Utterance], latency: Latency | None = None
) -> list[Posteriors]:
    """Log-probabilities of letters and phonemes of each. Raises asr.training.data.ManifestError."""
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration)
    found: dict[int, Posteriors] = {}
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        frames = [model.frontend(read_samples(utterances[i])) for i in some]
        found |= dict(zip(some, encode(model, frames, latency)))
    return [found[i] for i in range(len(utterances))]


@torch.inference_mode()
def log_priors(model: CTCModel, clips: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """ln of the mean output of each head over training speech, clips of samples (n,) at 16 kHz."""
    device, sums = model.mean.device, {}
    for samples in clips:
        frames = torch.from_numpy(model.frontend(samples))[None].to(device)
        letters, phonemes, _ = model.both(frames, torch.tensor([frames.shape[1]], device=device))
        for name, head in (("letters", letters), ("phonemes", phonemes)):
            if head is not None:
                sums[name] = sums.get(name, 0.0) + head[0].exp().sum(0).cpu().numpy()
    return {name: [round(float(x), 4) for x in np.log(s / s.sum())] for name, s in sums.items()}


def spread(utterances: list[Utterance], count: int) -> list[int]:
    """The numbers of ``count`` utterances at random, every corpus equally likely."""
    rng = np.random.default_rng(0)
    sizes = {c: sum(u.corpus == c for u in utterances) for c in {u.corpus for u in utterances}}
    chance = np.array([1 / sizes[u.corpus] for u in utterances])
    return rng.choice(len(utterances), count, p=chance / chance.sum()).tolist()
