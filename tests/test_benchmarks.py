"""The parts of the benchmarks that need no peers: numbers read aloud, scores, tables, processes, sounds."""

import contextlib
import csv
import json
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import measure, noise, transcription
from benchmarks.clips import clip_errors, count, difference, readings, summary
from benchmarks.engines import ENGINES, write_tokens
from recipes.language_model.numbers import cardinal


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("twenty dogs", "20 dogs."),
        ("in nineteen eighty five", "In 1985,"),
        ("in nineteen oh five", "in 1905"),
        ("two thousand and five", "2005"),
        ("twelve thousand three hundred forty five", "12,345"),
        ("zero three five one", "0351"),
        ("oh three five one", "0351"),
        ("the twenty first of may", "the 21st of May"),
        ("on the twelfth", "on the 12th"),
        ("the twentieth", "the 20th"),
        ("the nineteen eighties", "the 1980s"),
        ("five percent", "5%"),
        ("twenty dollars", "$20"),
        ("three point one four", "3.14"),
        ("one hundred and one", "101"),
        ("salt and pepper", "Salt & Pepper"),
        ("i'm here", "I’m here!"),
    ],
)
def test_written_numbers_cost_no_errors(said, written):
    assert clip_errors(said, written) == 0


def test_wrong_numbers_and_words_still_count():
    assert clip_errors("twenty dogs", "21 dogs") == 1
    assert clip_errors("twenty dogs", "") == 2
    assert clip_errors("twenty dogs", "twenty big dogs") == 1


@given(st.integers(0, 10**12 - 1))
def test_cardinals_are_words_and_distinct(number):
    words = cardinal(number)
    assert words.replace(" ", "").isalpha()
    assert words != cardinal(number + 1) or number + 1 == 10**12


@given(st.text(alphabet="019,.$%sthnd -:", max_size=20))
def test_no_reading_keeps_a_digit(text):
    assert not any(c.isdigit() for reading in readings(text) for c in reading)


def test_scores_of_known_clips():
    wrong, total = count(["a b c d", "e f"], ["a b c", "e f"])
    assert wrong.tolist() == [1, 0] and total.tolist() == [4, 2]
    found = summary("WER", wrong, total)
    assert found["WER"] == pytest.approx(100 / 6)
    assert found["WER low"] == 0 and found["WER high"] == 25


def test_difference_is_paired():
    """Engines that err alike differ by nothing, with no width; one always better by a lot, with no width."""
    random = np.random.default_rng(0)
    total = np.full(200, 10)
    wrong = random.integers(0, 6, 200)
    assert difference(wrong, wrong, total) == (0, 0, 0)
    middle, low, high = difference(wrong, wrong + 1, total)
    assert (middle, low, high) == pytest.approx((-10, -10, -10))
    middle, low, high = difference(wrong, random.integers(0, 6, 200), total)
    assert low < middle < high and low < 0 < high


def test_tables(tmp_path):
    rows = [{"engine": "a|b", "WER": 12.345}, {"engine": "c", "failure": "no\nweights"}]
    measure.write_csv(tmp_path / "t.csv", rows)
    with open(tmp_path / "t.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert float(read[0]["WER"]) == 12.345 and read[1]["WER"] == "" and read[1]["failure"] == "no\nweights"
    lines = measure.markdown(rows).splitlines()
    assert [line.count("|") for line in lines] == [4] * 4
    assert "12.3" in lines[2] and "no weights" in lines[3]


def test_page_shows_intervals_and_failures(tmp_path):
    options = transcription.parser().parse_args([str(tmp_path / "dev.jsonl")])
    rows = [{"engine": "ours", "settings": "s", "failure": "", "WER": 10.0, "WER low": 8.0, "WER high": 12.0}]
    clips = [{"duration": 60.0}]
    assert "10.0 (8.0 to 12.0)" in transcription.page(rows, clips, "here", options)
    assert "failure" not in transcription.page(rows, clips, "here", options)
    rows.append({"engine": "peer", "settings": "s", "failure": "exit status -11: crash"})
    assert "exit status -11: crash" in transcription.page(rows, clips, "here", options)


def test_spread_takes_clips_from_everywhere():
    rows = [{"n": n} for n in range(100)]
    assert [row["n"] for row in measure.spread(rows, 4)] == [0, 25, 50, 75]
    assert measure.spread(rows, None) == measure.spread(rows, 1000) == rows


def test_a_process_is_measured():
    program = "x = b'x' * 200_000_000; print('first'); print(sum(range(3_000_000)))"
    run = measure.run([sys.executable, "-c", program])
    assert run.status == 0 and run.output.splitlines()[0] == "first"
    assert run.peak > 190 and 0 < run.first <= run.wall and run.cpu > 0


def test_memory_is_that_of_a_process_alone():
    filled = np.ones(30_000_000)  # 240 MB, here
    child = measure.run([sys.executable, "-c", "from benchmarks.measure import peak; print(peak())"])
    assert 5 < float(child.output) < 100 < filled.nbytes / 1e6 < measure.peak() and np.isnan(measure.peak(-1))


def test_failing_and_hanging_processes_are_told():
    run = measure.run([sys.executable, "-c", "raise SystemExit('no\\nweights')"])
    assert run.status == 1 and run.failure == "exit status 1: weights"
    run = measure.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert run.status == -9 and run.failure == "exit status -9: no message"


def test_an_engine_that_cannot_load_is_reported(tmp_path):
    """Without its package here, a peer ends with a message and without a result."""
    run, result = measure.engine("pocketsphinx", [], "", sys.executable)
    assert result is None and run.status and "pocketsphinx" in run.errors


def test_every_peer_names_its_packages():
    assert all(bool(engine.packages) != name.startswith("ours") for name, engine in ENGINES.items())


def test_tokens_of_moonshine(tmp_path):
    long = b"x" * 130
    (tmp_path / "in").write_bytes(bytes([2]) + b"hi" + bytes([0]) + bytes([128 + 2, 1]) + long)
    write_tokens(tmp_path / "in", tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[0] == "aGk= 0" and lines[1] == " 1" and len(lines) == 3


@pytest.fixture
def serving():
    for package in ("httpx", "websockets"):
        pytest.importorskip(package)
    from benchmarks import serving

    return serving


def test_a_server_that_does_not_start_is_told(serving):
    options = serving.parser().parse_args(["clip.wav", "--model", "nowhere"])
    with pytest.raises(SystemExit, match="no model called 'nowhere'"), serving.serving(options):
        pytest.fail("it started")


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_lost_answer_of_a_server_is_a_failure(serving, wrong, monkeypatch, tmp_path):
    async def uploads(*_: object) -> object:
        return serving.row("uploads", 2, wrong, 1.0, 1.0, 120.0, 100.0, (0.1, 0.2))

    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    monkeypatch.setattr(serving, "serving", lambda options: contextlib.nullcontext(("", 0)))
    monkeypatch.setattr(serving, "uploads", uploads)
    monkeypatch.setattr(sys, "argv", ["serving", str(tmp_path / "a.wav"), "--streams"])
    assert serving.main() == wrong


@pytest.mark.parametrize("name", ["silence", "hum 50 Hz", "white noise", "pink noise"])
def test_synthetic_sounds(name, tmp_path):
    (tmp_path / "noise.jsonl").write_text("")
    count = 5 * noise.RATE
    sound = noise.sounds(tmp_path / "noise.jsonl")[name](count)
    level = np.sqrt(np.mean(sound**2))
    assert sound.shape == (count,) and np.isfinite(sound).all()
    assert level == 0 if name == "silence" else 0.02 < level < 0.1


def test_clips_of_a_class_are_joined_and_looped(tmp_path):
    names = ["001_-_Dog_bark-1-100032-A.wav", "001_-_Dog_bark-2-7-B.wav", "tap.wav"]
    rows = []
    for value, name in enumerate(names, start=1):
        soundfile.write(tmp_path / name, np.full(noise.RATE, value / 10), noise.RATE, "FLOAT")
        rows.append({"audio_filepath": name, "duration": 5.0 if "Dog" in name else 60.0, "corpus": "c"})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    groups = noise.recorded(tmp_path / "m.jsonl")
    assert {name: len(files) for name, files in groups.items()} == {"c: 001_-_Dog_bark": 2, "c: tap": 1}
    looped = noise.looped(groups["c: 001_-_Dog_bark"], 3 * noise.RATE)
    assert looped[:: noise.RATE] == pytest.approx([0.1, 0.2, 0.1], abs=1e-6)
