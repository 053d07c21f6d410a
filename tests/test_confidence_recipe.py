"""recipes.english.confidence: figures of held-out speakers, and a card that the program can use."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from asr.align.segment import ALIGNED, FEATURES, HEARD, RECOGNISED, Confidence
from asr.model.checkpoint import locate, update_card
from asr.model.network.ctc import load_network
from asr.training.data import Utterance
from recipes.english.calibration import area_under_roc, calibration_error
from recipes.english.confidence import as_card
from recipes.english.reliability import Sample, cross_validated, draw, report

SPEAKERS = 12


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Words whose chance of being right is known: it depends on the first feature."""
    rng, found = np.random.default_rng(0), Sample()
    for k in range(SPEAKERS * 20):
        x = rng.normal(size=(20, len(FEATURES[RECOGNISED])))
        right = rng.random(20) < 1 / (1 + np.exp(-2 * x[:, 0]))
        if k < 2:  # a text that was said, and one that was not
            right, x[:, 0] = np.full(20, k == 0), 3 - 6 * k
        speaker = Utterance(Path(f"{k}.wav"), 1.0, "a b", f"corpus {k % 2}", f"speaker {k % SPEAKERS}")
        found.add(speaker, [tuple(row) for row in x.tolist()], right.tolist(), np.full(20, 0.9).tolist())
    return found


def test_held_out_confidences_hold(sample):
    right, found = np.array(sample.right), cross_validated(sample)
    assert calibration_error(found, right) < 0.03 < 0.3 < calibration_error(np.array(sample.plain), right)
    assert area_under_roc(found, right) == pytest.approx(area_under_roc(np.array(sample.rows)[:, 0], right), abs=0.01)


def test_area_under_the_curve():
    right = np.array([True, True, False, False])
    for scores, area in (((4.0, 3.0, 2.0, 1.0), 1.0), ((4.0, 1.0, 3.0, 2.0), 0.5), ((1.0, 1.0, 1.0, 1.0), 0.5)):
        assert area_under_roc(np.array(scores), right) == area


def test_table_and_picture(sample, tmp_path):
    pytest.importorskip("matplotlib")
    samples = {(RECOGNISED, "lexicon"): sample, (ALIGNED, ""): sample, (HEARD, "lexicon"): sample}
    held_out = {key: cross_validated(s) for key, s in samples.items()}
    text = report(samples, held_out, None)
    assert "| recognised lexicon corpus 1 | 2400 |" in text and "Words that were said, below 0.5: " in text
    draw(samples, held_out, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000


def test_a_card_with_confidence_is_a_whole_checkpoint(sample, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copy(locate("english"), path)
    before, card = load_network(path)
    update_card(path, {"confidence": as_card({(RECOGNISED, "greedy"): sample})})
    after, changed = load_network(path)
    assert all((a == b).all() for a, b in zip(before.state_dict().values(), after.state_dict().values()))
    assert {**changed, "confidence": None} == {**card, "confidence": None}
    assert set(Confidence.of(changed, "greedy").calibrations) == {RECOGNISED}
    assert not Confidence.of(changed, "lexicon").calibrations
