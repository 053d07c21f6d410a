"""The ear is trained by the acoustic model's loop: what that asks of a model, it has."""

import math

import pytest
import torch

from asr.training.loop import backward
from asr.training.schedule import TrainOptions
from recipes.wake_words.ear import Ear


@pytest.mark.parametrize("phonemes", [[[1, 2], None], [None, None]])
def test_the_loop_trains_an_ear(phonemes):
    ear = Ear(("AH", "K"))
    batch = torch.randn(2, 60, 40), torch.tensor([60, 50]), [[2, 3], [4]], phonemes
    losses = backward(ear, batch, None, TrainOptions(()))
    assert math.isfinite(losses[0]) and ear.letters.weight.grad.abs().sum() > 0
    assert math.isfinite(losses[1]) == (phonemes[0] is not None)
