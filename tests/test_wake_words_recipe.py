"""The ear is trained by the acoustic model's loop: what that asks of a model, it has."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.training.data import Utterance
from asr.training.loop import backward, evaluate
from asr.training.schedule import TrainOptions
from recipes.wake_words.ear import Ear


@pytest.mark.parametrize("phonemes", [[[1, 2], None], [None, None]])
def test_the_loop_trains_an_ear(phonemes):
    ear = Ear(("AH", "K"))
    batch = torch.randn(2, 60, 40), torch.tensor([60, 50]), [[2, 3], [4]], phonemes
    losses = backward(ear, batch, None, TrainOptions(()))
    assert math.isfinite(losses[0]) and ear.letters.weight.grad.abs().sum() > 0
    assert math.isfinite(losses[1]) == (phonemes[0] is not None)


def test_the_loop_evaluates_an_ear():
    clips = [np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32) for n in (9_000, 16_000)]
    utterances = [Utterance(Path("x"), len(c) / 16_000, "ab", "corpus", "ann") for c in clips]
    loss, wer = evaluate(Ear(("AH", "K")), utterances, clips)
    assert math.isfinite(loss) and 0 <= wer
