"""wakeword.evaluate and what it stands on: exact figures from a scorer whose score is the level it hears."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loud import Loudness

from asr.audio.features import SAMPLE_RATE
from asr.training.augment import loudness
from benchmarks.wake_sound import ProtocolOptions, Stream, measurement
from wakeword import scoring
from wakeword.detector import Detector, DetectorOptions
from wakeword.evaluate import EvaluationError, EvaluationOptions, evaluate, write
from wakeword.evaluate import clips as clips_module
from wakeword.evaluate.clips import CLEAN, QUIET, ROOM, TALK, TELEPHONE, ClipOptions, word_end
from wakeword.evaluate.report import COUNTED, det


def beeps(seconds, *at, level=0.5, length=0.1):
    """(n,) float32: silence with a beep of a level at each time."""
    x = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for time in at:
        start, n = round(time * SAMPLE_RATE), round(length * SAMPLE_RATE)
        x[start : start + n] = level * np.sign(np.sin(2 * np.pi * 500 * (np.arange(n) + 0.5) / SAMPLE_RATE))
    return x


def hiss(seconds, level=0.1, seed=0):
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


@pytest.fixture
def save(tmp_path):
    """Sounds -> a folder of WAV files, or a manifest when texts are given."""

    def save(name, sounds, texts=None, corpus=None):
        folder = tmp_path / name
        folder.mkdir()
        for i, sound in enumerate(sounds):
            soundfile.write(folder / f"{i:03}.wav", sound, SAMPLE_RATE, "FLOAT")
        if texts is None:
            return folder
        lines = [{"audio_filepath": f"{i:03}.wav", "duration": 1, "text": text} for i, text in enumerate(texts)]
        extra = {"corpus": corpus} if corpus else {}
        (folder / "list.jsonl").write_text("".join(json.dumps(line | extra) + "\n" for line in lines))
        return folder / "list.jsonl"

    return save


# --- traces --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained():
    """A real detector whose random weights fire at random."""
    rng, hidden, mels, kernel = np.random.default_rng(0), 4, 8, 5
    shapes = {
        "convolution.weight": (6, mels, kernel),
        "convolution.bias": (6,),
        "mean": (mels,),
        "layers.0.weight_ih_l0": (3 * hidden, 6),
        "layers.0.weight_hh_l0": (3 * hidden, hidden),
        "layers.0.bias_ih_l0": (3 * hidden,),
        "layers.0.bias_hh_l0": (3 * hidden,),
        "output.weight": (1, hidden),
        "output.bias": (1,),
    }
    tensors = {name: rng.normal(0, 1, shape) for name, shape in shapes.items()} | {"deviation": np.ones(mels)}
    model = {"n_mels": mels, "kernel": kernel, "stride": 4, "hidden": hidden, "layers": 1, "kind": "gru"}
    return Detector(tensors, model, {}, DetectorOptions(0.5, refractory=0.3))


@settings(max_examples=20)
@example(cuts=[35_600], quantile=0.5)
@given(cuts=st.lists(st.integers(0, 5 * SAMPLE_RATE), max_size=6), quantile=st.floats(0.3, 0.99))
def test_a_trace_tells_what_the_detector_would_do_at_any_threshold(untrained, cuts, quantile):
    sound = hiss(5) * np.repeat(np.random.default_rng(1).random(50), SAMPLE_RATE // 10).astype(np.float32)
    scores, seconds = scoring.trace(untrained, np.split(sound, sorted(cuts)))
    threshold = float(np.quantile(scores, quantile))
    live = Detector.__new__(Detector)
    live.__dict__.update(untrained.__dict__, options=replace(untrained.options, threshold=threshold))
    assert scoring.detections(untrained, scores, threshold).tolist() == [
        d.time for d in live.feed(sound, live.start())[0]
    ]
    assert seconds == 5 and scores.dtype == np.float32


# --- hits, thresholds, intervals -----------------------------------------------------------------


def test_the_first_detection_in_a_window_is_its_hit_and_what_is_in_none_is_a_false_alarm():
    windows = np.array([[1.0, 2.0], [5.0, 6.0], [8.0, 9.0]])
    first, outside = scoring.first_hits(np.array([0.5, 1.0, 1.7, 2.1, 9.0, 9.1]), windows)
    np.testing.assert_array_equal(first, [1.0, np.nan, 9.0])
    assert outside.tolist() == [0.5, 2.1, 9.1]
    first, outside = scoring.first_hits(np.array([]), windows)
    assert np.isnan(first).all() and len(outside) == 0


@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=120), most=st.integers(0, 4)
)
def test_the_sweep_finds_the_lowest_threshold_for_every_number_of_alarms(scores, most):
    scorer, trace = Loudness(refractory=0.2), np.array(scores, np.float32)

    def alarms(threshold):
        return len(scoring.detections(scorer, trace, threshold))

    lowest = scoring.sweep(trace, alarms, most)
    assert len(lowest) == most + 1
    for k, threshold in enumerate(lowest):
        above = [level for level in (0.1, 0.2, 0.5, 0.9, 0.99999) if level >= threshold]
        assert all(alarms(level) <= k for level in above)
        just_below = float(np.nextafter(np.float32(1 if np.isnan(threshold) else threshold), np.float32(0)))
        assert alarms(just_below) > k or not (trace[trace > 0] < threshold).any()


def test_rates_have_a_bootstrap_interval_or_the_rule_of_three():
    missed = np.arange(400) < 20
    rate = scoring.miss_rate(missed)
    assert rate.value == 0.05 and 0.025 < rate.low < 0.035 and 0.065 < rate.high < 0.08
    assert scoring.miss_rate(missed) == rate  # from a seed
    assert scoring.miss_rate(np.zeros(300, bool)) == (0, 0, 0.01)
    none, hour = np.array([]), 3600.0
    assert scoring.alarm_rate([none, none], [6 * hour, 4 * hour]) == (0, 0, pytest.approx(0.3))
    rate = scoring.alarm_rate([np.arange(8) * 400.0, none], [hour, hour])
    assert rate.value == 4 and 1 < rate.low < 3 and 5 < rate.high < 8


# --- sources and levels --------------------------------------------------------------------------


@given(
    lengths=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    levels=st.tuples(st.floats(0.001, 2), st.floats(0.001, 2)),
    snr=st.floats(-10, 30),
)
def test_snr_is_the_loudest_frame_of_512_against_the_loudest(lengths, levels, snr):
    speech, noise = (hiss(n / SAMPLE_RATE, level, seed=n) for n, level in zip(lengths, levels))
    scaled = noise * clips_module.noise_gain(speech, noise, snr)
    energy = [
        max((x[i : i + 512].astype(float) ** 2).sum() for i in range(0, max(1, len(x) - 511), 512))
        for x in (speech, scaled)
    ]
    assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(snr, abs=1e-3)


def test_recordings_come_from_files_folders_and_manifests(save):
    folder = save("folder", [hiss(1)] * 2)
    manifest = save("manifest", [hiss(1)] * 3, ["hey Computer, stop", "", "a computerised hey"], "home")
    found = clips_module.recordings([folder, manifest, folder / "001.wav"])
    assert [r.kind for r in found] == [clips_module.UNLABELLED] * 2 + [
        "speech",
        "noise or silence",
        "speech",
        "unlabelled",
    ]
    assert [r.source for r in found] == [str(folder)] * 2 + ["home"] * 3 + ["files"]
    assert [r.says("hey computer") for r in found] == [False, False, True, False, False, False]
    with pytest.raises(EvaluationError, match="does not exist"):
        clips_module.recordings([folder / "none"])
    (folder / "empty.jsonl").write_text("")
    with pytest.raises(EvaluationError, match="empty"):
        clips_module.recordings([folder / "empty.jsonl"])


def test_noise_goes_on_without_end_and_is_never_silent(save):
    files = clips_module.recordings([save("noise", [beeps(3, 0.1), hiss(0.5, 0.2), beeps(1)])])
    noise = clips_module.Noise(files, np.random.default_rng(1))
    for n in (1000, 1000, 100_000, 20_000):
        stretch = noise.take(n)
        assert len(stretch) == n and stretch.any() and np.abs(stretch).max() <= 1
    silent = clips_module.recordings([save("silent", [beeps(1)])])
    with pytest.raises(EvaluationError, match="silent"):
        clips_module.Noise(silent, np.random.default_rng(1)).take(10)


# --- clips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.0, 0.001, 0.02])
def test_the_end_of_a_phrase_is_where_its_energy_ends(floor):
    two_words = beeps(3, 0.5, 0.9, 1.1, 1.4, length=0.2) + hiss(3, floor)
    click = beeps(3, 2.7, level=0.3, length=0.02)
    assert word_end(two_words) == pytest.approx(1.6, abs=0.03)
    assert word_end(two_words + click) == pytest.approx(1.6, abs=0.03)
    assert word_end(two_words[: int(1.5 * SAMPLE_RATE)]) == pytest.approx(1.5, abs=0.03)
    assert 0 < word_end(hiss(0.005)) <= 0.02


def hear(save, name, options, sounds, noises=()):
    left_out = []
    files, noises = (
        clips_module.recordings([save(name + k, s)]) if len(s) else [] for k, s in (("+", sounds), ("-", noises))
    )
    return clips_module.hear(Loudness(), files, noises, options, left_out), left_out


def test_a_hit_falls_between_the_clips_start_and_the_time_after_its_end(save):
    late = ClipOptions(lead_in=1.0, late=0.5)
    heard, _ = hear(save, "a", late, [beeps(1, 0.5), beeps(1, 0.9), hiss(1, 0.4)])
    hits = heard.hits(Loudness(), 0.45, CLEAN)
    np.testing.assert_allclose(hits[:2], [1.52, 1.92])
    assert np.isnan(hits[2])
    np.testing.assert_allclose(heard.windows, [[1.0, 2.5]] * 3)
    np.testing.assert_allclose(heard.word_ends[:2], [1.6, 2.0], atol=0.021)


def test_noise_is_reproducible_and_differs_between_conditions_in_level_only(save):
    sounds, noises = [beeps(1, 0.4, level=0.2), beeps(1, 0.6)], [hiss(5, seed=i) for i in range(6)]
    options = ClipOptions(snrs=(20.0, 0.0), seed=1)
    one, _ = hear(save, "a", options, sounds, noises)
    two, _ = hear(save, "b", options, sounds, noises)
    other, _ = hear(save, "c", replace(options, seed=2), sounds, noises)
    assert list(one.traces) == [CLEAN, "20 dB", "0 dB"]
    for condition in one.traces:
        np.testing.assert_array_equal(one.traces[condition], two.traces[condition])
    assert not np.array_equal(one.traces["0 dB"], other.traces["0 dB"])
    lead_in = slice(0, 20)  # noise alone
    for loud, soft in zip(one.traces["0 dB"], one.traces["20 dB"]):
        np.testing.assert_allclose(loud[lead_in], 10 * soft[lead_in], rtol=1e-5)
        assert loud[lead_in].min() > 0


def test_clips_that_are_silent_or_broken_are_left_out_and_named(save, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nothing")
    heard, left_out = hear(save, "a", ClipOptions(), [beeps(1, 0.5), beeps(1)])
    assert len(heard.windows) == 1 and len(left_out) == 1 and "001.wav is silent" in left_out[0]
    with pytest.raises(EvaluationError, match="recordings of the phrase"):
        clips_module.hear(Loudness(), clips_module.recordings([broken]), [], ClipOptions(), left_out)
    assert "broken.wav" in left_out[-1]


def test_clips_are_heard_across_a_room_by_telephone_quietly_and_beside_a_talker(save):
    clip = beeps(1, 0.5, level=0.8, length=0.2)
    files = clips_module.recordings([save("clips", [clip])])
    talkers = clips_module.recordings([save("talk", [beeps(4, 0.1, 0.9, 1.7, 2.5, level=0.3)])])
    options, found = ClipOptions(conditions=True), []
    for seed in (0, 0, 1):
        condition = clips_module.Conditions([], talkers, replace(options, seed=seed))
        found.append(condition(clip))
    one, same, other = found
    assert list(one) == [CLEAN, ROOM, TELEPHONE, QUIET, TALK]
    assert all(len(x) == 2.5 * SAMPLE_RATE and x.dtype == np.float32 for x in one.values())
    for name, x in one.items():
        np.testing.assert_array_equal(x, same[name])
        assert name == CLEAN or np.abs(x - one[CLEAN]).max() > 0.01
    assert np.abs(one[ROOM] - other[ROOM]).max() > 0.01
    after = slice(round(1.75 * SAMPLE_RATE), round(1.95 * SAMPLE_RATE))  # what a room keeps of it
    assert np.abs(one[ROOM][after]).mean() > 20 * np.abs(one[TELEPHONE][after]).mean()
    assert power_above(3600, one[TELEPHONE]) < 0.01 < power_above(3600, one[CLEAN])
    assert 20 * np.log10(loudness(one[QUIET][SAMPLE_RATE : 2 * SAMPLE_RATE])) == pytest.approx(-60, abs=0.5)
    assert np.abs(one[QUIET] * 32768 % 1).max() == 0  # a file's steps
    talk = one[TALK] - one[CLEAN]
    assert np.sqrt(clips_module.loudest(clip) / clips_module.loudest(talk)) == pytest.approx(10 ** (5 / 20), rel=0.05)
    heard = clips_module.hear(Loudness(), files, [], options, [], talkers)
    assert list(heard.traces) == list(one) and len(heard.windows) == 1


def power_above(hz: float, x: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(x)) ** 2
    return float(power[np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE) > hz].sum() / power.sum())


# --- the whole -----------------------------------------------------------------------------------

ALARMS = sum(beeps(300, 30 + 60 * i, level=level) for i, level in enumerate((0.9, 0.8, 0.7, 0.6)))  # 1/12 hour


@pytest.fixture
def measured(save):
    levels = (0.95, 0.85, 0.75, 0.65, 0.55)
    positives = save("positives", [beeps(1, 0.5, level=x) for x in levels], ["the phrase"] * 4 + ["another"])
    negatives = save("negatives", [ALARMS, beeps(60, 30, level=0.95), hiss(1)], ["speech", "", "it is the phrase"])
    card = {"phrase": "The phrase!", "thresholds": {"10": 0.75}}
    options = EvaluationOptions((1.0, 12.0, 24.0, 600.0), ClipOptions(snrs=(10.0,)))
    return evaluate(Loudness(0.62, card), [positives], [negatives], [save("noise", [hiss(2)])], options)


def test_misses_at_swept_thresholds_and_at_those_fixed_beforehand(measured):
    rows = {(row["set"], row["wanted per hour"]): row for row in measured.misses if row["condition"] == CLEAN}
    assert {key: row["missed"] for key, row in rows.items()} == {
        ("swept", 1.0): 3,
        ("swept", 12.0): 2,
        ("swept", 24.0): 1,
        ("swept", 600.0): 0,
        ("beforehand", 10.0): 1,
        ("as set", None): 0,
    }
    thresholds = [row["threshold"] for row in rows.values()]
    np.testing.assert_allclose(thresholds, [0.9, 0.8, 0.7, 0.6, 0.75, 0.62], atol=1e-6)
    assert all(row["clips"] == 4 for row in rows.values())
    row = rows["swept", 12.0]
    assert row["miss %"] == 50 and 0 <= row["miss %, low"] < 50 < row["miss %, high"] <= 100
    assert rows["swept", 600.0]["miss %, high"] == 75  # 3 in 4
    assert measured.conditions == [CLEAN, "10 dB"]


def test_false_alarms_in_speech_are_counted_apart_from_those_in_noise(measured):
    fixed = {(r["negatives"], r["kind"]): r for r in measured.alarms if r["set"] == "beforehand"}
    speech, noise, counted = fixed["list", "speech"], fixed["list", "noise or silence"], fixed[COUNTED, ""]
    assert (speech["alarms"], noise["alarms"], counted["alarms"]) == (2, 1, 2)
    assert speech["hours"] == counted["hours"] == pytest.approx(1 / 12) and noise["hours"] == pytest.approx(1 / 60)
    assert counted["per hour"] == pytest.approx(24)
    swept = next(r for r in measured.alarms if r["negatives"] == COUNTED and r["wanted per hour"] == 1.0)
    assert swept["alarms"] == 0 and swept["per hour, high"] == pytest.approx(36)  # fewer than 3 in 1/12 hour
    assert len(measured.left_out) == 2 and all("phrase" in line for line in measured.left_out)


def test_the_delay_is_counted_from_the_end_of_the_phrase(measured):
    row = next(r for r in measured.misses if r["set"] == "as set" and r["condition"] == CLEAN)
    assert row["delay s, median"] == pytest.approx(-0.08, abs=0.021)  # it fires in the beep's first 40 ms of 100
    assert row["delay s, 95 %"] == pytest.approx(row["delay s, median"])


def test_curves_fall_from_no_false_alarm_on(measured):
    curve = [row for row in measured.curve if row["condition"] == CLEAN]
    assert [(round(row["per hour"]), row["miss %"]) for row in curve][-1] == (0, 75.0)
    assert all(a["per hour"] >= b["per hour"] and a["miss %"] <= b["miss %"] for a, b in zip(curve, curve[1:]))


def test_a_report_is_a_page_three_tables_and_a_plot(measured, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    write(measured, tmp_path / "out")
    assert "a telephone line" not in measured.markdown
    with (tmp_path / "out" / "misses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and rows[0]["missed"] == "3" and float(rows[0]["miss %"]) == 75
    page = (tmp_path / "out" / "report.md").read_text()
    assert page.startswith(measured.markdown)
    assert "0 (< 36.00)" in page and "0.08 h" in page and "beforehand 10" in page and "det.png" in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("|")]
    assert len(set(widths)) == 2  # two tables, each of one width
    assert (tmp_path / "out" / "det.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write(measured, tmp_path / "plain")
    assert "pip install 'asr[plots]'" in (tmp_path / "plain" / "report.md").read_text()


def test_a_curve_for_each_model_also_makes_a_plot(tmp_path):
    pytest.importorskip("matplotlib")
    det(
        {"ours": [(0.0, 9.0), (1.0, 2.0)], "theirs": [(0.5, 5.0)], "none": []},
        {"swept": [(0.5, 3.0)]},
        tmp_path / "a.png",
    )
    det({}, {}, tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000 < (tmp_path / "b.png").stat().st_size


def test_noise_alone_counts_where_there_is_no_speech(save):
    noise = save("noise", [beeps(60, 30)], [""])
    report = evaluate(Loudness(), [save("positives", [beeps(1, 0.5)])], [noise])
    (row,) = [r for r in report.alarms if r["negatives"] == COUNTED and r["set"] == "as set"]
    assert row["alarms"] == 1


def test_a_rate_that_no_threshold_reaches_is_said_to_be_out_of_reach(save):
    files = save("negatives", [beeps(60, 30, level=1.0)])
    report = evaluate(Loudness(), [save("positives", [beeps(1, 0.5)])], [files], options=EvaluationOptions((1.0,)))
    assert report.misses[0]["threshold"] is None and "missed" not in report.misses[0]
    assert "not reached" in report.markdown


def test_what_cannot_be_measured_is_said_in_one_sentence(save, tmp_path):
    good = save("good", [beeps(1, 0.5)])
    silent = save("silent", [beeps(1)])
    other = save("other", [beeps(1, 0.5)], ["something else"])
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    scorer = Loudness(card={"phrase": "phrase"})
    for positives, negatives in (
        (silent, good),
        (other, good),
        (broken, good),
        (good, broken),
        (good, tmp_path / "no"),
    ):
        with pytest.raises(EvaluationError):
            evaluate(scorer, [positives], [negatives])
    report = evaluate(scorer, [good], [broken, good])
    assert len(report.left_out) == 1 and "broken.wav" in report.left_out[0]
    for wrong in ({"rates": ()}, {"rates": (0.0,)}):
        with pytest.raises(EvaluationError):
            EvaluationOptions(**wrong)


# --- Picovoice's protocol ------------------------------------------------------------------------

HOURS = ProtocolOptions(hours=0.05, snr=20.0)  # 180 s, at 60 an hour 3 alarms


@pytest.fixture
def material(save):
    speech = save("speech", [hiss(2, seed=i) for i in range(3)], ["some words", "other words", "a phrase"])
    return save("clips", [beeps(1, 0.5, level=0.3)] * 4), speech, save("noise", [hiss(3, 0.5, seed=9), hiss(2, seed=8)])


def stream(material, options=HOURS):
    return Stream(*(clips_module.recordings([path]) for path in material), options)


def test_the_stream_is_the_same_from_a_seed_and_has_every_clip_once(material):
    one, two = list(stream(material).pieces()), list(stream(material).pieces())
    other = list(stream(material, replace(HOURS, seed=1)).pieces())
    assert sum(is_clip for _, is_clip in one) == 4 and not one[0][1] and not one[-1][1]
    joined = [np.concatenate([samples for samples, _ in pieces]) for pieces in (one, two, other)]
    np.testing.assert_array_equal(joined[0], joined[1])
    assert not np.array_equal(joined[0][:16_000], joined[2][:16_000])
    assert 180 <= len(joined[0]) / SAMPLE_RATE <= 180 + 4 + 5 * 2


def test_speech_lies_above_the_noise_under_it_and_most_background_is_silent(material):
    pieces = list(stream(material, replace(HOURS, hours=0.2)).pieces())
    clip = next(samples for samples, is_clip in pieces if is_clip)
    assert clips_module.loudest(clip) / clips_module.loudest(clip[:7000]) > 30  # 20 dB, but for the noise's own swings
    background = [np.abs(samples).max() > 1.001 for samples, is_clip in pieces if not is_clip]
    assert 0.15 < np.mean(background) < 0.25  # noise alone peaks at 1


class Late(Loudness):
    """Reports what it heard some seconds later."""

    def __init__(self, delay, **options):
        super().__init__(**options)
        self.delay = delay

    def time(self, step):
        return super().time(step) + self.delay


def run(material, scorer, **options):
    """The protocol's figures for the scorer's own threshold, and the swept one."""
    found = measurement(scorer, stream(material, replace(HOURS, heard=0.0, **options)))
    report = found.report("", EvaluationOptions((60.0,)), [])
    rows = [miss | alarm for miss, alarm in zip(report.misses, report.alarms, strict=True)]
    assert [row["set"] for row in rows] == ["swept", "as set"]
    return rows[1], rows[0]


def test_the_protocol_counts_hits_up_to_half_a_second_after_the_clip(material):
    in_time, swept = run(material, Late(0.9, threshold=0.9))  # the beep begins 0.5 s before the clip's end
    assert (in_time["clips"], in_time["missed"], in_time["alarms"]) == (4, 0, 0)
    assert in_time["hours"] == pytest.approx(0.05, rel=0.1) and in_time["per hour, high"] == 3 / in_time["hours"]
    assert swept["missed"] == 0 and swept["alarms"] <= 3
    late, swept = run(material, Late(1.1, threshold=0.9))
    assert (late["missed"], late["alarms"]) == (4, 4)
    assert swept["missed"] == 4 and 0 < swept["alarms"] <= 3
    assert run(material, Late(1.1, threshold=0.9), late=0.7)[0]["missed"] == 0


def test_a_clip_detected_twice_is_one_hit_and_no_false_alarm(material):
    row, _ = run(material, Loudness(0.9, refractory=0.0))
    assert (row["missed"], row["alarms"]) == (0, 0)


def test_a_protocol_that_cannot_be_run_is_refused(material, save):
    clips, speech, noise = material
    silent = save("silent", [beeps(1)])
    for sets in ((silent, speech, noise), (clips, silent, noise), (clips, speech, silent)):
        with pytest.raises(EvaluationError):
            measurement(Loudness(), stream(sets))
    with pytest.raises(EvaluationError, match="0 clips is no benchmark"):
        Stream([], *(clips_module.recordings([path]) for path in (speech, noise)), HOURS)
    with pytest.raises(EvaluationError, match="2 s or more"):
        stream(material, replace(HOURS, hours=0.001))
    with pytest.raises(EvaluationError):
        ProtocolOptions(heard=1.5)
