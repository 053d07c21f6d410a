"""Calibration on figures whose truth is known, and on the packaged model's card."""

import numpy as np
import pytest

from asr.align.segment import (
    FEATURES,
    Confidence,
    SearchEvidence,
    search_evidence,
)
from asr.align.words import Aligned, Evidence
from asr.model.checkpoint import CheckpointError
from asr.model.onnx import load_model
from asr.search.base import Hypothesis
from recipes.english.calibration import calibration_error, fit, reliability

RNG = np.random.default_rng(0)


def test_a_fit_finds_the_probabilities_that_made_the_data():
    x = RNG.normal([3.0, -100.0], [1.0, 20.0], (20_000, 2))
    truth = 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.05 * x[:, 1] - 9.0)))
    right = RNG.random(len(x)) < truth
    found = fit(x, right)
    assert np.abs(found(x) - truth).max() < 0.05
    assert calibration_error(found(x), right) < 0.02


def test_a_feature_that_says_nothing_gets_no_weight():
    x = np.column_stack([RNG.normal(size=5_000), np.zeros(5_000)])
    found = fit(x, x[:, 0] > 0)
    assert found.weights[0] > 1 and found.weights[1] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(found(np.array([[1e6, 0.0], [-1e6, 0.0]]))).all()


def test_calibration_error():
    right = np.array([True, False, True, True])
    assert calibration_error(np.array([0.5, 0.5, 0.8, 0.8]), right) == pytest.approx(0.1)
    assert calibration_error(np.array([1.0, 0.0, 1.0, 1.0]), right) == 0.0
    assert reliability(np.array([0.05, 0.05, 0.95, 1.0]), right) == [(2, 0.05, 0.5), (2, pytest.approx(0.975), 1.0)]


def test_the_share_of_a_word_in_the_n_best_list():
    texts = ["we go home", "we go", "he go home"]
    even = [Hypothesis(text, -3.0, 0.0, 0.0) for text in texts]
    shares = [e.share for e in search_evidence(["we", "go", "home"], even, None)]
    assert shares == pytest.approx([2 / 3, 1, 2 / 3])
    sure = [Hypothesis(text, score, 0.0, 0.0) for text, score in zip(texts, (0.0, -50.0, -50.0))]
    assert [e.share for e in search_evidence(["we", "go", "home"], sure, None)] == pytest.approx([1, 1, 1])


class Counting:
    """A language model: ln probability -1, -2, ... of the first, second ... word."""

    def start(self):
        return 0

    def score(self, state, word):
        return -1.0 - state, state + 1


def test_the_language_model_speaks_for_a_word_and_the_next():
    found = search_evidence(["a", "b"], [Hypothesis("a b", 0.0, 0.0, 0.0)], Counting())
    assert found == [SearchEvidence(1.0, -1.0, -2.0), SearchEvidence(1.0, -2.0, 0.0)]


def word(letters: float) -> Aligned:
    """All that its letters and phonemes say is the same."""
    same = letters
    evidence = Evidence(same, same, same, length=4.0, phonemes=same, phonemes_lost=same, pace=0.5, spelt=0.0)
    return Aligned("a", 0.0, 1.0, evidence)


def test_without_a_calibration_the_letters_are_the_confidence():
    assert Confidence.of({}, "lexicon")("heard", [word(np.log(0.25))]) == pytest.approx([0.25])


def test_a_calibration_of_other_features_is_refused():
    with pytest.raises(CheckpointError, match="fit it again"):
        Confidence.of({"confidence": {"greedy": {"heard": {"weights": {"letters": 1.0}, "bias": 0.0}}}}, "greedy")


@pytest.mark.parametrize("search", ["lexicon", "letters", "letters alone", "greedy"])
def test_the_packaged_model_has_all_calibrations(search):
    confidence = Confidence.of(load_model()[1], search)
    assert set(confidence.calibrations) == set(FEATURES)
    likely, unlikely = word(-0.05), word(-6.0)
    for name in ("heard", "aligned"):
        high, low = confidence(name, [likely, unlikely])
        assert 0 < low < high < 1
    assert confidence("heard", []) == []
    evidence = [SearchEvidence(1.0, -5.0, -5.0), SearchEvidence(0.1, -5.0, -5.0)]
    high, low = confidence("recognised", [likely, likely], evidence)
    assert low < high or search == "greedy"  # which has no n-best list
