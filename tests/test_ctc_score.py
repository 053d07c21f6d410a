"""CTC's forward algorithm against torch's loss."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.search import ctc_paths
from asr.search.ctc_paths import ctc_scores
from asr.text import BLANK

SYMBOLS = 5


@pytest.fixture(autouse=True, params=["compiled", "in numpy"])
def both_ways(request, monkeypatch):
    if request.param == "in numpy":
        monkeypatch.setattr(ctc_paths, "native", None)
    elif ctc_paths.native is None:
        pytest.skip("installed without a compiler")


def log_probs(frames: int, seed: int, sharpness: float = 1.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).standard_normal((frames, SYMBOLS))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def by_torch(log_probs: np.ndarray, target: list[int]) -> float:
    given = torch.from_numpy(log_probs)[:, None], torch.tensor([target], dtype=torch.long)
    return -float(torch.nn.functional.ctc_loss(*given, (len(log_probs),), (len(target),), blank=BLANK, reduction="sum"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 30), st.lists(st.lists(st.integers(1, SYMBOLS - 1), max_size=12), max_size=4), st.integers(0, 99))
def test_texts_together_have_the_scores_of_each_alone(frames, targets, seed):
    x = log_probs(frames, seed, sharpness=4.0)
    np.testing.assert_allclose(ctc_scores(x, targets), [by_torch(x, t) for t in targets], rtol=1e-5, atol=1e-4)


def test_long_recordings_do_not_underflow():
    said = np.random.default_rng(2).integers(1, SYMBOLS, 500).tolist()
    x = log_probs(2_000, 1)
    x[2::4] = -9.0  # every fourth frame says a symbol
    x[np.arange(2, 2_000, 4), said] = np.log(1 - (SYMBOLS - 1) * np.exp(-9.0))
    x[np.delete(np.arange(2_000), np.arange(2, 2_000, 4))] = [0.0] + [-9.0] * (SYMBOLS - 1)
    targets = [said, said[:100] + said[110:], said[:300] + [1, 2, 3] + said[300:]]
    np.testing.assert_allclose(ctc_scores(x, targets), [by_torch(x, t) for t in targets], rtol=1e-4, atol=1e-3)


def test_no_frames():
    assert ctc_scores(log_probs(0, 1), [[], [1]]).tolist() == [0.0, -np.inf]


def test_a_symbol_that_is_not_there():
    with pytest.raises(IndexError):
        ctc_scores(log_probs(3, 1), [[1], [SYMBOLS + 1]])
