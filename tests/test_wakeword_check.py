"""`wakeword check`: scores of sayings and talk, what they mean, and recordings at a microphone."""

import numpy as np
import pytest
import soundfile
from loud import Loudness, save_loud

from asr.audio.features import SAMPLE_RATE
from wakeword.cli import main
from wakeword.evaluate.check import bar, check, first_seconds, record
from wakeword.evaluate.clips import EvaluationError, recordings


def written(folder, *levels: float):
    folder.mkdir()
    for i, level in enumerate(levels):
        hiss = np.random.default_rng(i).uniform(-level, level, SAMPLE_RATE)
        soundfile.write(folder / f"{i}.wav", hiss, SAMPLE_RATE)
    return recordings([folder])


def test_misses_false_alarms_and_other_thresholds(tmp_path):
    said, talk = written(tmp_path / "said", 0.9, 0.4, 0.7, 0.2), written(tmp_path / "talk", 0.6, 0.1)
    lines = list(check(Loudness(0.5, {"thresholds": {"0.5": 0.5, "3": 0.3, "0.1": 0.8}}), said, talk).lines())
    assert [line.endswith("missed") for line in lines[:4]] == [False, True, False, True]
    assert lines[4].startswith("talk, highest") and "0.60  false alarm" in lines[4]
    assert (
        lines[5].startswith("at its threshold, 0.500: 2 of 4 missed (so 15 to 85 %") and "1 false alarm in" in lines[5]
    )
    assert "with --rate 0.1, 0.800: 3 of 4" in lines[6] and "with --rate 3, 0.300: 1 of 4" in lines[7]
    assert "1 false alarm in 0.0 min" in lines[7] and len(lines) == 8


def test_a_bar_shows_score_and_threshold():
    assert bar(0.25, 0.5) == "█" * 10 + "·" * 10 + "│" + "·" * 19
    assert len({len(bar(score, threshold)) for score in (0, 1) for threshold in (0.01, 0.999)}) == 1


def test_talk_is_as_long_as_it_is_asked_for():
    blocks = (np.full(1000, i, np.float32) for i in range(100))
    assert len(first_seconds(blocks, 0.5)) == 8000 and next(blocks)[0] == 8


def test_the_microphone_is_asked_for_sayings_and_then_for_talk(tmp_path, monkeypatch):
    monkeypatch.setattr("wakeword.evaluate.check.utterances", lambda blocks: (next(blocks) for _ in range(9)))
    blocks, said = (np.full(1600, 0.1 * i, np.float32) for i in range(10)), []
    record(tmp_path / "mine", "boom", blocks, said.append, 2, 0.3)
    assert len(list((tmp_path / "mine" / "said").glob("*.wav"))) == 2
    talk, _ = soundfile.read(tmp_path / "mine" / "talk" / "001.wav")
    assert len(talk) == 4800 and talk[0] == pytest.approx(0.2, abs=1e-3)
    assert 'say "boom" 2 times' in said[0] and "talk for 0 s" in said[-1]


def test_the_command_says_how_to_train_on(tmp_path, capsys):
    written(tmp_path / "said", 0.5), written(tmp_path / "talk", 0.0)
    boom, folders = save_loud(tmp_path / "boom.safetensors"), [str(tmp_path / name) for name in ("said", "talk")]
    assert main(["check", str(boom), "--positives", folders[0], "--negatives", folders[1]]) == 0
    told = capsys.readouterr()
    assert "0 of 1 missed" in told.out and "0 false alarms" in told.out
    assert f'wakeword train "boom" --positives {folders[0]} --negatives {folders[1]}' in told.err
    assert main(["check", str(boom), "--positives", folders[0]]) == 2
    assert "give both" in capsys.readouterr().err


def test_nothing_to_check_is_a_sentence(tmp_path):
    with pytest.raises(EvaluationError, match="recordings of the phrase"):
        check(Loudness(), [], written(tmp_path / "talk", 0.1))
