"""One word of a closed set for a whole clip: the trigger-word RNN's sibling, many steps in and one answer out.

load("keywords.safetensors")(samples) -> the words and their probabilities, likeliest first.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.model.checkpoint import CheckpointError, damaged, read_weights, write_weights
from asr.model.network.ctc import tensors
from wakeword.train import TriggerModel, TriggerOptions

FORMAT = "asr-keywords"
CLIP = SAMPLE_RATE  # samples of the clips that it is trained on: one second


class KeywordModel(TriggerModel):
    """The trigger word's front-end, convolution and recurrent layers; a softmax over the mean of all steps."""

    def __init__(self, classes: tuple[str, ...], options: TriggerOptions = TriggerOptions()):
        super().__init__(options)
        self.classes = tuple(classes)
        self.output = nn.Linear(options.hidden, len(classes))

    def forward(self, frames: Tensor) -> Tensor:  # type: ignore[override]
        """frames (B, T, n_mels) of clips of one length -> logits (B, classes)."""
        steps, _ = self.trunk(frames)
        return self.output(steps.mean(1))


class Classifier:
    """Samples -> every class with its probability, the likeliest first."""

    def __init__(self, model: KeywordModel, card: dict):
        self.model, self.card = model.eval(), card
        self._frontend = LogMel(model.options.frontend)

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray) -> list[tuple[str, float]]:
        """samples (n,) float32 at 16 kHz, of any length: of more than a second, the loudest one counts."""
        frames = torch.from_numpy(self._frontend(one_second(samples)))
        found = self.model(frames[None])[0].softmax(-1).tolist()
        return sorted(zip(self.model.classes, found), key=lambda pair: -pair[1])


def one_second(samples: np.ndarray) -> np.ndarray:
    """The second (CLIP,) with the most energy; less is padded with silence at its end."""
    if len(samples) <= CLIP:
        return np.pad(samples, (0, CLIP - len(samples)))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[CLIP:] - energy[:-CLIP]))
    return samples[start : start + CLIP]


def save(model: KeywordModel, path: Path, card: dict) -> None:
    """Weights in fp16, and everything that rebuilds and explains the model."""
    head = {"format": FORMAT, "options": model.options.asdict(), "classes": list(model.classes), "card": card}
    write_weights(model.state_dict(), path, True, head)


def load(path: str | Path) -> Classifier:
    """Raises asr.model.checkpoint.CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no keyword classifier {path}: train one with `recipes.speech_commands.train`")
    weights, head = read_weights(path, FORMAT, "keyword classifier")
    try:
        options, classes = TriggerOptions(**json.loads(head["options"])), tuple(json.loads(head["classes"]))
        model = KeywordModel(classes, options)
        model.load_state_dict(tensors(weights))
        return Classifier(model, json.loads(head["card"]))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None
