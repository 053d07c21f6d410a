"""The stopwatch of stages, the arithmetic beside it, and the profile of the three hot paths."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.model.onnx import load_model
from benchmarks import profiles
from benchmarks.arithmetic import Product, multiply_adds, seconds
from benchmarks.profile_stages import log_mel, recurrent
from benchmarks.stopwatch import REST, Point, Stopwatch

MANIFEST = Path(__file__).parent / "data" / "clips.jsonl"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Kitchen:
    """Work that takes a known time."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def meal(self, dishes: int) -> int:
        self.clock.now += 1
        return sum(self.dish() for _ in range(dishes))

    def dish(self) -> int:
        self.clock.now += 10
        return 1


POINTS = (
    Point("meal", Kitchen, "meal", lambda kitchen, dishes: [Product(dishes, 2, 3)]),
    Point("dish", Kitchen, "dish"),
)


@given(st.lists(st.integers(0, 5), max_size=5))
def test_a_stage_has_its_own_time_only(meals):
    clock, meal = Clock(), Kitchen.meal
    kitchen, watch = Kitchen(clock), Stopwatch(clock)
    with watch.running(POINTS):
        clock.now += 0.5
        assert [kitchen.meal(dishes) for dishes in meals] == meals
    assert (watch.spent["meal"], watch.spent["dish"], watch.spent[REST]) == (len(meals), 10 * sum(meals), 0.5)
    assert multiply_adds(watch.work["meal"]) == 6 * sum(meals) and watch.calls["dish"] == sum(meals)
    assert Kitchen.meal is meal


def test_a_failing_stage_ends():
    watch = Stopwatch(clock := Clock())
    with pytest.raises(TypeError), watch.running(POINTS):
        Kitchen(clock).meal("no number")
    with watch.running(()):
        clock.now += 3
    assert watch.spent[REST] == 3


def test_items_are_timed_where_they_are_made():
    clock = Clock()
    kitchen, watch = Kitchen(clock), Stopwatch(clock)
    with watch.running(()):
        for _ in watch.each("dishes", (kitchen.dish() for _ in range(3))):
            clock.now += 1
    assert (watch.spent["dishes"], watch.spent[REST]) == (30, 3)


def test_twice_the_products_need_twice_the_time():
    product = Product(300, 64, 96)
    assert seconds({product: 2}) == pytest.approx(2 * seconds({product: 1})) and seconds({product: 1}) > 0
    assert seconds({}) == seconds({Product(0, 64, 96): 5}) == 0


def test_products_of_layers():
    """Of a full-context layer as in the textbook: inputs and states times three gates, both ways."""
    (model, _), windows = load_model(), np.zeros((2, 1, 30, 320))
    layers, size, symbols = model.options.layers, model.options.hidden, len(model.alphabet)
    work = sum(p.multiply_adds for p in recurrent(model, windows, None, 30, []))
    inner = size * (2 * layers - 1)
    heads = 2 * 30 * 2 * size * (symbols + 2 * (len(model.options.phonemes) + 1))  # phonemes read two layers
    assert work == 2 * 2 * 30 * (inner + layers * size) * 3 * size + heads
    frames = list(log_mel(profiles.by_chance(profiles.TINY).frontend, np.zeros(0), 7))
    assert sum(p.multiply_adds for p in frames) == pytest.approx(7 * (1.25 * 400 * math.log2(400) + 201 * 40), rel=0.01)


def test_the_profile_of_three_paths(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["", str(MANIFEST), "--seconds", "6", "--out", str(tmp_path)])
    assert profiles.main() == 0
    rows = list(csv.DictReader((tmp_path / "profiles.csv").open()))
    found = {path: {r["stage"]: r for r in rows if r["path"] == path} for path in ("file", "stream", "wake word")}
    for stages in found.values():
        parts = sum(float(row["CPU ms"]) for name, row in stages.items() if name != profiles.ALL)
        assert parts == pytest.approx(float(stages[profiles.ALL]["CPU ms"]))
    assert {"reading FLAC", "recurrent layers and heads", "search", "times and confidence"} <= found["file"].keys()
    assert {"words to show", "the stream's own"} <= found["stream"].keys()
    assert float(found["file"]["recurrent layers and heads"]["million multiply-adds"]) > 10
    assert float(found["wake word"]["recurrent layers"]["they need, ms"]) > 0
    assert (tmp_path / "profiles.png").stat().st_size
