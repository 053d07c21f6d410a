"""CTC-CRF against sums over every path that there is, and the weights of a run by it."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.model.network.ctc import ctc_loss
from asr.search.lexicon import Lexicon
from asr.text import collapse
from asr.training.config import as_toml, read_config
from asr.training.ctc_crf import CtcCrf, _LogDenominator, log_denominator, phoneme_trigram

N = 4  # symbols, the blank among them
LENGTHS = torch.tensor([4, 3, 1])
TARGETS = [[1, 2, 2], [3], []]
RECIPE = Path("recipes/english/crf.toml")


@pytest.fixture(scope="module")
def trigram() -> np.ndarray:
    rng = np.random.default_rng(0)
    return phoneme_trigram([rng.integers(1, N, rng.integers(1, 6)).tolist() for _ in range(30)], N)


def outputs() -> torch.Tensor:
    return torch.randn(3, 4, N, generator=torch.Generator().manual_seed(1)).log_softmax(-1).requires_grad_()


def probability(sentence: tuple[int, ...], trigram: np.ndarray) -> float:
    padded = [0, 0, *sentence, 0]
    return math.prod(float(trigram[triple]) for triple in zip(padded, padded[1:], padded[2:]))


def by_every_path(log_probs: torch.Tensor, trigram: np.ndarray, target: list[int] | None = None) -> torch.Tensor:
    """ln of the sum of P(s) times the path's probability, over the paths of (T, N) that collapse to the target."""
    terms = []
    for path in itertools.product(range(N), repeat=len(log_probs)):
        sentence = tuple(collapse(path))
        if target is None or sentence == tuple(target):
            acoustic = sum(log_probs[t, symbol] for t, symbol in enumerate(path))
            terms.append(acoustic + math.log(probability(sentence, trigram)))
    return torch.logsumexp(torch.stack(terms), 0)


def test_the_trigram_is_a_distribution_and_prefers_what_was_seen(trigram):
    assert np.allclose(trigram.sum(-1), 1, atol=1e-6) and trigram.min() > 0
    seen = phoneme_trigram([[1, 2, 3]] * 5, N)
    assert seen[1, 2, 3] > 0.8 and seen[1, 2, 1] < 0.1 and seen[2, 3, 0] > 0.8


@pytest.mark.parametrize("way", [log_denominator, _LogDenominator.apply], ids=["as training", "torch"])
def test_the_denominator_and_its_gradient_are_those_of_every_path(way, trigram):
    log_probs, scale = outputs(), torch.tensor([1.0, 2.0, -1.0])
    expected = torch.stack([by_every_path(row[:n], trigram) for row, n in zip(log_probs, LENGTHS)])
    got = way(log_probs, LENGTHS, torch.from_numpy(trigram))
    assert torch.allclose(got, expected, atol=1e-5)
    (gradient,) = torch.autograd.grad((got * scale).sum(), log_probs)
    (by_autograd,) = torch.autograd.grad((expected * scale).sum(), log_probs)
    assert torch.allclose(gradient, by_autograd, atol=1e-5)


def test_the_loss_is_denominator_minus_numerator_and_a_share_of_ctc(trigram):
    log_probs, lengths, targets = outputs()[1:], LENGTHS[1:], TARGETS[1:]
    spoken = [by_every_path(row[:n], trigram, target) for row, n, target in zip(log_probs, lengths, targets)]
    all_paths = [by_every_path(row[:n], trigram) for row, n in zip(log_probs, lengths)]
    crf = (torch.stack(all_paths) - torch.stack(spoken)).sum() / lengths.sum()
    plain = ctc_loss(log_probs, lengths, targets)
    loss = CtcCrf(trigram, 0.25)(log_probs, lengths, targets)
    assert loss.item() == pytest.approx(0.75 * crf.item() + 0.25 * plain.item(), abs=0.02)  # the trigram is in bf16


def test_what_no_path_can_say_counts_as_nothing(trigram):
    log_probs = outputs()
    impossible = CtcCrf(trigram)(log_probs[:1], torch.tensor([3]), [[1, 1, 1]])
    assert impossible.item() == 0.0
    (gradient,) = torch.autograd.grad(impossible, log_probs)
    assert gradient.abs().sum() == 0


def test_long_utterances_do_not_underflow(trigram):
    log_probs = (10 * torch.randn(1, 3000, N, generator=torch.Generator().manual_seed(2))).log_softmax(-1)
    log_probs.requires_grad_()
    loss = CtcCrf(trigram)(log_probs, torch.tensor([3000]), [[1, 2, 3] * 200])
    loss.backward()
    assert loss.isfinite() and log_probs.grad.isfinite().all()


def test_the_recipe_is_read_and_written_the_same(tmp_path):
    lexicon = Lexicon.parse(["snow S N OW1"])
    configuration = read_config(RECIPE, lexicon)
    assert configuration[1].crf and configuration[1].ctc_share == 0.1
    (tmp_path / "config.toml").write_text(as_toml(configuration))
    assert as_toml(read_config(tmp_path / "config.toml", lexicon)) == as_toml(configuration)
