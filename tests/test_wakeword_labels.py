"""Extended-one labels: where the ones stand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword.train import TriggerOptions, extended_ones
from wakeword.train.training import TrainOptions, labels


@given(st.integers(0, 200), st.lists(st.integers(0, 250), max_size=4), st.integers(1, 60))
def test_ones_follow_each_end_and_stand_nowhere_else(steps, ends, span):
    targets = extended_ones(steps, ends, span)
    expected = [any(end <= i < end + span for end in ends) for i in range(steps)]
    assert targets.tolist() == expected


@pytest.mark.parametrize("ends, span", [([3], 0), ([-1], 5)])
def test_nonsense_is_refused(ends, span):
    with pytest.raises(ValueError, match="span of at least 1 step"):
        extended_ones(10, ends, span)


def test_the_first_one_is_the_first_step_that_has_seen_the_whole_word():
    model, options = TriggerOptions(), TrainOptions(span=0.4, unsure=0.08)
    end = 32_000  # samples: 2 s
    targets, weights = labels((end,), 500, model, options)
    first = int(np.flatnonzero(targets)[0])
    sees_until = lambda step: (step * 4 + 7) * 160 + 400  # noqa: E731  samples, as Detector.time
    assert sees_until(first) >= end > sees_until(first - 1)
    assert targets.sum() == 10
    assert np.flatnonzero(weights == 0).tolist() == [first - 2, first - 1, first + 10, first + 11]
