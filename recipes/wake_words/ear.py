"""The ear: a trigger-word trunk that has learnt the sounds of real speech, for detectors to start from.

    python -m recipes.wake_words.ear --out WORK/ear --noise noise.jsonl --dev dev.jsonl TRAIN.jsonl...

The convolution and the recurrent layers of wakeword.train are trained with CTC on phonemes and letters of
transcribed speech. A detector trained from the result needs to learn one word only, and not from synthetic voices alone
what speech is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from asr.audio.features import LogMel
from asr.files import atomic_write_bytes
from asr.model.checkpoint import CheckpointError
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, Losses, ctc_loss
from asr.text import LETTERS, Alphabet
from asr.training.acoustic import train
from asr.training.augment import Augmenter, AugmentOptions
from asr.training.config import Stage, TrainOptions, read_lexicon, read_noises
from asr.training.data import Audio, Joined, ManifestError, read_manifest
from asr.training.examples import Examples, measure_mean
from asr.training.fit import TrainingError, start_distributed
from wakeword.train import TriggerModel, TriggerOptions

AUGMENT = AugmentOptions(room=0.4, noise=0.6, snr=(0.0, 30.0), time_masks=1, band_masks=1, band_width=8)
WEIGHTS = {
    "commonvoice": 8.0,
    "librispeech-machine-labelled": 5.0,
    "librispeech": 3.0,
    "speechocean762": 2.0,
    "kathleen": 1.5,
    "an4": 1.5,
    "kokoro-82m": 2.0,
    "synthetic-piper": 0.6,
    "synthetic-hibari": 0.4,
    "synthetic-flite": 0.3,
}


class Ear(nn.Module):
    """The trunk with a head for letters and one for phonemes, as asr.training.acoustic trains an acoustic model."""

    attention = None  # no decoder

    def __init__(self, phonemes: tuple[str, ...], options: TriggerOptions = TriggerOptions()):
        super().__init__()
        self.options, self.alphabet = _Options(options, phonemes), Alphabet(tuple(LETTERS))
        self.frontend, self.trunk = LogMel(options.frontend), TriggerModel(options)
        self.letters = nn.Linear(options.hidden, len(self.alphabet))
        self.phonemes = nn.Linear(options.hidden, len(phonemes) + 1)

    @property
    def mean(self) -> Tensor:
        return self.trunk.mean

    @property
    def deviation(self) -> Tensor:
        return self.trunk.deviation

    def steps(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        o = self.trunk.options
        return self.trunk.trunk(frames)[0], ((lengths - o.kernel) // o.stride + 1).clamp(min=1)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        hidden, lengths = self.steps(frames, lengths)
        return self.letters(hidden).float().log_softmax(-1), lengths

    def losses(
        self,
        frames: Tensor,
        lengths: Tensor,
        letters: list,
        phonemes: list,
        latencies: Sequence[Latency | None] = (),
        teacher: None = None,
    ) -> Losses:
        """As CTCModel.losses; there is no latency to choose, the trunk looks back only, and there is a single view."""
        hidden, lengths = self.steps(frames, lengths)
        on_letters = ctc_loss(self.letters(hidden).float().log_softmax(-1), lengths, letters)
        known = [i for i, p in enumerate(phonemes) if p is not None]
        if not known:
            return Losses(on_letters)
        log_probs = self.phonemes(hidden[known]).float().log_softmax(-1)
        return Losses(on_letters, ctc_loss(log_probs, lengths[known], [phonemes[i] for i in known]))


class _Options:
    """What the loop asks of a model's options."""

    units = "letters"

    def __init__(self, trunk: TriggerOptions, phonemes: tuple[str, ...]):
        self.trunk, self.phonemes = trunk, phonemes

    def asdict(self) -> dict:
        return self.trunk.asdict()


def export(state: Path, path: Path, options: TriggerOptions) -> None:
    """The trunk of a run's last state, in fp16, as wakeword.train.training.start_from reads it.

    Not the average of the best: so small an ear spells no words, and checkpoints cannot be told apart by them.
    """
    prefix = "model.trunk."
    with safe_open(state, framework="pt") as file:
        kept = {k.removeprefix(prefix): file.get_tensor(k).half() for k in file.keys() if k.startswith(prefix)}
    kept = {k: v.contiguous() for k, v in kept.items() if not k.startswith("output.")}
    atomic_write_bytes(path, save(kept, {"options": json.dumps(options.asdict())}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", help="training manifests")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; ear.safetensors is the result")
    parser.add_argument("--dev", type=Path, required=True, help="manifest that picks the best checkpoints")
    parser.add_argument("--noise", type=Path, help="manifest of background noises")
    parser.add_argument("--updates", type=int, default=4000)
    parser.add_argument("--evaluate-every", type=int, default=250)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start_distributed()
    try:
        run(options)
    except (ManifestError, TrainingError, CheckpointError, ValueError, OSError) as error:
        sys.exit(f"ear: {error}")


def run(options: argparse.Namespace) -> None:
    hold = options.updates // 2
    stages = (Stage(hold, WEIGHTS), Stage(options.updates - hold, WEIGHTS, decay=True))
    training = TrainOptions(
        stages,
        240.0,
        3e-3,
        warmup=200,
        chained=0.05,
        silent=0.05,
        phoneme_weight=0.7,
        evaluate_every=options.evaluate_every,
    )
    lexicon = read_lexicon(None)
    torch.manual_seed(training.seed)
    ear = Ear(lexicon.phonemes)
    corpora = [read_manifest(m) for m in options.manifests]
    audio = Joined(corpora, options.out / "cache")
    augmenter = Augmenter(AUGMENT, read_noises(options.noise))
    as_model = cast("CTCModel", ear)  # it has all that training asks of one
    examples = Examples([u for c in corpora for u in c], audio, augmenter, as_model, lexicon, training)
    measure_mean(as_model, examples)
    dev = read_manifest(options.dev)
    train(as_model, examples, (dev, Audio(dev, options.out / "cache")), training, options.out)
    export(options.out / "state.safetensors", options.out / "ear.safetensors", ear.options.trunk)


if __name__ == "__main__":
    main()
