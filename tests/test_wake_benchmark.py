"""benchmarks.wake_words: the same audio for all engines, their scores, the table; the peers only where they are."""

import csv
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from loud import Loudness

from benchmarks import wake_engines, wake_sound, wake_words
from benchmarks.wake_engines import ENGINES, RATE
from benchmarks.wake_sound import Heard, ProtocolOptions, SpeakOptions, Stream, everyday, measurement, picovoice
from benchmarks.wake_words import Entry, Outcome
from wakeword import detector
from wakeword.evaluate import EvaluationOptions, evaluate
from wakeword.evaluate.clips import QUIET, ROOM, TALK, TELEPHONE, ClipOptions, recordings
from wakeword.scoring import trace
from wakeword.synthesis import Spoken

CLIPS = ClipOptions((10.0,), wake_sound.LEAD_IN)


def beep(seconds, at, level):
    x = np.random.default_rng(round(1000 * level)).uniform(-0.01, 0.01, round(seconds * RATE)).astype(np.float32)
    x[round(at * RATE) : round((at + 0.2) * RATE)] = level
    return x


@pytest.fixture
def material(tmp_path):
    """Manifests of clips, speech and noise."""

    def save(name, sounds, text):
        (tmp_path / name).mkdir()
        lines = []
        for i, sound in enumerate(sounds):
            soundfile.write(tmp_path / name / f"{i}.wav", sound, RATE, "PCM_16")
            lines.append({"audio_filepath": f"{i}.wav", "duration": len(sound) / RATE, "text": text, "corpus": name})
        path = tmp_path / name / "list.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    clips = save("clips", [beep(1.5, 0.5, level) for level in (0.75, 0.5, 0.25)], "jarvis")
    speech = save("speech", [beep(20, 8, level) for level in (0.6, 0.3, 0.2)], "something else")
    return clips, speech, save("noise", [beep(3, 1, 0.3)], "")


def replayed(found, scorer):
    """The scorer hears the tape, as an engine does in its own process."""
    scores = [trace(scorer, [soundfile.read(wav, dtype="float32")[0]])[0] for wav in found.wavs]
    heard = Heard(scorer.options.threshold, scorer.step_seconds, scorer.time(0))
    return found.heard(heard, scores)


def test_an_engine_that_hears_the_tape_is_measured_as_if_it_had_been_there(material, tmp_path):
    clips, speech, noise = (recordings([path]) for path in material)
    (tmp_path / "tape").mkdir()
    found = everyday(clips, speech, noise, tmp_path / "tape", CLIPS, left_out := [])
    options = EvaluationOptions((1.0, 60.0, 200.0), CLIPS)
    one = replayed(found, Loudness(0.4)).report("jarvis", options, left_out)
    other = evaluate(Loudness(0.4), *([path] for path in material), options)
    assert [row["missed"] for row in one.misses] == [row["missed"] for row in other.misses]
    assert one.misses[0]["missed"] == 2 and one.conditions == ["clean", "10 dB"]  # one beep is louder than all speech
    for key in ("alarms", "hours", "per hour"):
        assert [row[key] for row in one.alarms] == [row[key] for row in other.alarms]
    assert one.misses[0]["delay s, median"] == pytest.approx(other.misses[0]["delay s, median"], abs=1e-6)


def test_the_tape_has_every_condition(material, tmp_path):
    clips, speech, noise = (recordings([path]) for path in material)
    (tmp_path / "tape").mkdir()
    found = everyday(clips, speech, noise, tmp_path / "tape", replace(CLIPS, conditions=True), left_out := [])
    assert list(found.taped.clips.traces) == ["clean", "10 dB", ROOM, TELEPHONE, QUIET, TALK] and not left_out
    assert len(found.wavs) == len(clips) * 6 + 1
    report = replayed(found, Loudness(0.4)).report("jarvis", EvaluationOptions((1.0,)), [])
    assert report.conditions[2:] == [ROOM, TELEPHONE, QUIET, TALK] and "a telephone line" in report.markdown
    missed = {row["condition"]: row["missed"] for row in report.misses if row["set"] == "as set"}
    assert missed["clean"] == 1 and missed[QUIET] == 3


def test_picovoices_protocol_counts_as_it_does_for_a_detector_of_ours(material, tmp_path):
    options = ProtocolOptions(hours=0.04, snr=20.0, heard=0.5)
    (tmp_path / "tape").mkdir()
    sets = [recordings([path]) for path in material]
    found = picovoice(*sets, tmp_path / "tape", options)
    report = replayed(found, Loudness(0.4)).report("jarvis", EvaluationOptions((50.0,)), [])
    other = measurement(Loudness(0.4), Stream(*sets, options)).report("jarvis", EvaluationOptions((50.0,)), [])
    assert [row["missed"] for row in report.misses] == [row["missed"] for row in other.misses]
    assert [row["alarms"] for row in report.alarms] == [row["alarms"] for row in other.alarms]
    assert report.alarms[0]["alarms"] <= 2 and report.misses[0]["clips"] == 3


def test_what_cannot_be_read_is_left_out_and_named(material, tmp_path):
    (tmp_path / "clips" / "1.wav").write_bytes(b"no sound")
    (tmp_path / "tape").mkdir()
    found = everyday(*(recordings([path]) for path in material), tmp_path / "tape", CLIPS, left_out := [])
    assert len(left_out) == 1 and "1.wav" in left_out[0]
    assert len(replayed(found, Loudness(0.4)).clips.windows) == 2


# --- engines -------------------------------------------------------------------------------------


@given(size=st.integers(1, 3000))
def test_blocks_of_any_size_hold_the_file(tmp_path_factory, size):
    path, sound = tmp_path_factory.getbasetemp() / "sound.wav", np.arange(2000, dtype=np.int16)
    soundfile.write(path, sound, RATE)
    parts = list(wake_engines.blocks(str(path), size))
    assert all(len(part) == size for part in parts)
    joined = np.concatenate(parts)
    assert (joined[:2000] == sound).all() and not joined[2000:].any() and len(joined) < 2000 + size


def test_our_detector_scores_a_file_as_it_scores_samples(tmp_path):
    path, sound = str(tmp_path / "a.wav"), beep(3, 1, 0.5)
    soundfile.write(path, sound, RATE, "PCM_16")
    ours, loaded = detector.load("jarvis"), ENGINES["ours"].load("jarvis", True)
    scores = wake_engines.scores(loaded, path)
    np.testing.assert_allclose(scores[:70], trace(ours, [soundfile.read(path, dtype="float32")[0]])[0][:70], atol=1e-5)
    assert (loaded.model, loaded.threshold, loaded.first) == ("jarvis", ours.options.threshold, ours.time(0))
    assert 0 < wake_engines.cost(loaded, path) and not wake_engines.measure.peak() < 20


def test_an_engines_model_is_the_longest_of_its_phrases_in_the_words():
    assert ENGINES["Porcupine"].model("hey jarvis") == "jarvis"
    assert ENGINES["microWakeWord"].model("hey jarvis") == "hey jarvis"
    assert ENGINES["openWakeWord"].model("jarvis") is None
    assert ENGINES["PocketSphinx"].model("any words") == "any words"


def test_an_engine_that_says_yes_or_no_is_scored_by_its_sensitivity(tmp_path, monkeypatch):
    """Says yes from a level on that falls as its sensitivity rises."""

    def create(keywords, sensitivities):
        def process(block):
            return 0 if block.max() > 20_000 * (1 - sensitivities[0]) else -1

        return SimpleNamespace(process=process, delete=lambda: None)

    monkeypatch.setitem(sys.modules, "pvporcupine", SimpleNamespace(create=create))
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.repeat(np.int16([0, 5_000, 11_000, 25_000]), 512), RATE)
    loaded = ENGINES["Porcupine"].load("jarvis", True)
    quiet, soft, middle, loud = wake_engines.scores(loaded, path)
    assert quiet == 0 < soft < loaded.threshold < middle < loud < 1
    assert wake_engines.scores(ENGINES["Porcupine"].load("jarvis", False), path)[1:].tolist() == [0, middle, middle]


def test_a_word_that_pocketsphinx_does_not_know_is_made_of_two():
    look_up = {"hey": "HH EY", "snow": "S N OW", "boy": "B OY"}.get
    assert [wake_engines.spelled(word, look_up) for word in ("hey", "snowboy")] == ["hey", "snow boy"]
    with pytest.raises(ValueError, match='no word "xyz"'):
        wake_engines.spelled("xyz", look_up)


@pytest.mark.parametrize("name", ["microWakeWord", "openWakeWord", "Porcupine", "PocketSphinx"])
def test_a_peer_scores_each_block(name, tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, beep(2, 1, 0.3), RATE, "PCM_16")
    try:
        loaded = ENGINES[name].load("alexa", True)
        scores = wake_engines.scores(loaded, path)
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")
    assert len(scores) == -(-2 * RATE // loaded.block) and scores.max() < loaded.threshold < 1


# --- the command ---------------------------------------------------------------------------------


def command(material, out, *more):
    clips, speech, noise = map(str, material)
    given = ["jarvis", "--negatives", speech, "--noise", noise, "--positives", clips, "--out", str(out)]
    return ["wake_words", *given, "--environment", str(out / "none"), *more]


def test_the_command_and_its_table(material, tmp_path, monkeypatch, capsys):
    wrong = tmp_path / "other.safetensors"
    wrong.write_bytes(b"no detector")
    monkeypatch.setattr(
        sys, "argv", command(material, tmp_path, "--only", "ours", "microWakeWord", "--detector", "jarvis", str(wrong))
    )
    assert wake_words.main() == 1  # one of the two detectors cannot be read
    with (tmp_path / "wake-words-jarvis.csv").open(newline="") as file:
        good, bad = csv.DictReader(file)
    assert good["engine"] == "ours: jarvis" and bad["engine"] == "ours: other"
    assert float(good["miss % clean"]) == 100 and float(good["alarms an hour"]) == 0 < float(good["CPU s an hour"])
    assert "DetectorError" in bad["failure"] and not bad["0.5/h clean"]
    page = (tmp_path / "wake-words-jarvis.md").read_text()
    assert "3 clips" in page and "microWakeWord: has no model" in page and page in capsys.readouterr().out
    assert sum(line.startswith("| ours: ") for line in page.splitlines()) == 4  # two tables of two


def test_what_cannot_be_run_is_said_in_one_sentence(material, tmp_path, monkeypatch, capsys):
    for more in (("--negatives", str(material[0])), ("--positives", str(tmp_path / "none"))):
        monkeypatch.setattr(sys, "argv", command(material, tmp_path, *more))
        assert wake_words.main() == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_rate_that_no_threshold_reaches_is_said_to_be_out_of_reach():
    row = {"set": "swept", "wanted per hour": 0.5, "threshold": None, "condition": "clean", "clips": 3}
    found = Outcome(Entry("a", "ours", "a"), report=SimpleNamespace(misses=[row], alarms=[], conditions=["clean"]))
    assert found.misses == {"0.5/h clean": "not reached"} and not found.own


# --- spoken clips --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "voices", "speakers"),
    [({"kokoro"}, ("flite", "espeak"), {"flite-rms-1.00", "kokoro-am_fenrir"}), (
        {"kokoro", "flite", "espeak"}, ("kokoro", "flite", "espeak"), {"kokoro-am_fenrir"},
    )],
)  # fmt: skip
def test_clips_are_spoken_by_whom_no_detector_knows(tmp_path, monkeypatch, known, voices, speakers):
    jobs = []

    def speak(wanted, processes, progress):
        jobs.extend(wanted)
        jobs[0].folder.mkdir(parents=True)
        return [[Spoken(np.zeros(99), "jarvis", who) for who in ("flite-rms-1.00", "kokoro-am_fenrir") * 9]]

    monkeypatch.setattr(wake_sound, "speak", speak)
    monkeypatch.setattr(wake_sound, "chosen", lambda names: names or ("kokoro", "flite", "espeak"))
    found = wake_sound.spoken("jarvis", tmp_path, SpeakOptions(4, (), frozenset(known)), print)
    assert jobs[0].voices == voices and jobs[0].count == (4 if len(speakers) > 1 else 40)
    assert len(found) == 4 and all(r.says("jarvis") and soundfile.info(r.path).frames == 99 for r in found)
