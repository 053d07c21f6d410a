"""The rules that open and end the sentences of a stream, and the meters beside them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio.vad import STEP, Segmenter
from asr.commands.listen import METER_FLOOR_DB, bar, level
from asr.errors import UsageError
from asr.live.stream import MAX_LAG_S, Pace
from asr.live.utterance import EndpointOptions

STEPS = 25  # a second


def follow(probabilities: list[float], options: EndpointOptions) -> tuple[list, list[int]]:
    """The segments, and how far each was sure at every step of it."""
    endpointer, spans, sure = Segmenter(options.segments()), [], []
    for p in probabilities:
        spans += endpointer.feed([p])
        if endpointer.speaking:
            sure.append(endpointer.sure_until)
    return spans + list(endpointer.flush()), sure


def test_half_a_second_of_pre_roll():
    [span], _ = follow([0.0] * 50 + [1.0] * 50 + [0.0] * 50, EndpointOptions())
    assert span.start == STEP * (50 - 12) and span.end == STEP * (100 + 12)


@pytest.mark.parametrize("silence", [0.2, 0.6, 1.5])
def test_silence_ends_a_sentence(silence):
    options, pause = EndpointOptions(silence=silence), round(silence * STEPS)
    short, long = ([1.0] * 50 + [0.0] * n + [1.0] * 50 for n in (pause - 1, pause))
    assert (len(follow(short, options)[0]), len(follow(long, options)[0])) == (1, 2)


def test_speech_that_is_too_long_is_cut_where_it_pauses_most():
    said = [1.0] * 220 + [0.3] * 5 + [1.0] * 100
    first, *_ = follow(said, EndpointOptions(too_long=10.0))[0]
    assert first.cut_right and STEP * 218 <= first.end <= STEP * 227


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.15, 1.0]), st.integers(1, 40)), max_size=12), st.floats(0.1, 1))
def test_what_is_sure_stays_in_the_segment(runs, silence):
    """Until a segment ends, every frame up to `sure_until` is in it; so a stream can decode that far."""
    endpointer, sure = Segmenter(EndpointOptions(silence=silence).segments()), 0
    for p in (p for p, n in runs for _ in range(n)):
        for span in endpointer.feed([p]):
            assert span.end >= sure
            sure = 0
        if endpointer.speaking:
            assert endpointer.sure_until >= sure
            sure = endpointer.sure_until
    for span in endpointer.flush():
        assert span.end >= sure


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"nothing": 0}, "without a word"),
        ({"silence": 0.01}, "silence"),
        ({"silence": math.nan}, "silence"),
        ({"silence": math.inf}, "silence"),
        ({"pre_roll": -1}, "pre-roll"),
        ({"too_long": 2}, "3.2 to 300 s"),
        ({"too_long": 1e9}, "300 s"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(UsageError, match=words):
        EndpointOptions(**settings)


def test_loudness():
    t = np.arange(1600) / 16_000
    assert level(np.sin(2 * np.pi * 100 * t).astype(np.float32)) == pytest.approx(-3.01, abs=0.01)
    assert level(np.zeros(100, np.float32)) == level(np.zeros(0, np.float32)) == METER_FLOOR_DB
    assert [bar(x, 4) for x in (-60, -30, 0, 6)] == ["----", "##--", "####", "####"]


def test_pace():
    slow = Pace()
    for _ in range(100):
        slow = slow.after(0.15, 0.1)
    assert slow.lag == pytest.approx(5.0) and slow.factor == pytest.approx(1.5 * (1 - math.exp(-1)))
    assert "5.0 s behind" in slow.warning
    quick = slow
    while quick.warning:
        quick = quick.after(0.02, 0.1)
    assert quick.lag < MAX_LAG_S and not Pace().after(0.05, 0.1).lag
