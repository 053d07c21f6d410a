"""Several wake words at once: the same detections as each alone, for little more than the cost of one."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from loud import loud_detector, save_loud, stream
from test_wakeword_fusion import phonemes, untrained  # noqa: F401

from asr import audio
from asr.audio.features import SAMPLE_RATE, LogMel, LogMelOptions
from wakeword.cli import main
from wakeword.listen import listen
from wakeword.network import SharedLogMel
from wakeword.phonemes import Fusion, FusionOptions, Hearing, PhonemeModel
from wakeword.several import Several

CLIP = audio.load(str(Path(__file__).parent / "data" / "independence.opus"))
WORDS = {"boom": (("B", "UW", "M"),), "bum": (("B", "AH", "M"),), "loud": ()}


def blocks(x: np.ndarray, size: int = 1280) -> list[np.ndarray]:
    return [x[i : i + size] for i in range(0, len(x), size)]


@pytest.fixture(scope="module")
def words(phonemes):  # noqa: F811
    """Two words of the phoneme model and one that goes by loudness."""
    found = {name: loud_detector() for name in WORDS}
    for name, ways in WORDS.items():
        found[name].phonemes = Fusion(FusionOptions(ways), phonemes) if ways else None
    return found


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 96_000), max_size=8))
def test_each_hears_what_it_hears_alone(words, cuts):
    x = np.concatenate([CLIP, stream()])[:96_000]
    together, scores = Several(words), {name: [] for name in words}
    state = list(together.start())
    for piece in np.split(x, sorted(cuts)):
        for i, (name, detector) in enumerate(together.detectors.items()):
            found, state[i] = detector.scores(piece, state[i])
            scores[name].append(found)
    for name, detector in words.items():
        alone = detector.scores(x.copy(), detector.start())[0]
        assert np.allclose(np.concatenate(scores[name]), alone, atol=1e-6)


def test_a_detection_has_the_name_of_its_detector():
    x = stream()
    low, high = loud_detector(), loud_detector()
    high.options = high.options.__class__(0.99, refractory=1.0)
    heard = list(listen(Several({"low": low, "high": high}), blocks(x)))
    assert [h.detection.name for h in heard].count("low") == len(low.detect(x)) == 2
    assert [h.detection.time for h in heard] == sorted(d.time for detector in (low, high) for d in detector.detect(x))


def test_front_end_and_phonemes_run_once_for_all_words(words, monkeypatch):
    asked = {"frames": 0, "phonemes": 0}

    def counted(kind, function):
        def call(*arguments):
            asked[kind] += 1
            return function(*arguments)

        return call

    monkeypatch.setattr(LogMel, "feed", counted("frames", LogMel.feed))
    monkeypatch.setattr(PhonemeModel, "window", counted("phonemes", PhonemeModel.window))
    costs = []
    for some in ({"boom": words["boom"]}, {k: words[k] for k in ("boom", "bum")}):
        asked.update(dict.fromkeys(asked, 0))
        together = Several(some)
        state = together.start()
        for block in blocks(CLIP[:64_000]):
            _, state = together.feed(block, state)
        costs.append(dict(asked))
    assert costs[0] == costs[1] and min(costs[0].values()) > 5


def test_a_block_in_the_same_array_with_other_sound_is_another_block():
    frontend, buffer = SharedLogMel.of(8), np.zeros(1600, np.float32)
    first, _ = frontend.feed(buffer, frontend.start())
    buffer[:] = CLIP[16_000:17_600]
    second, _ = frontend.feed(buffer, frontend.start())
    assert not np.allclose(first, second)


def test_a_recording_is_not_kept():
    frontend, hearing = SharedLogMel(LogMelOptions(n_mels=8)), Hearing(PhonemeModel.load())
    frontend.feed(np.zeros(160_000, np.float32), frontend.start())
    hearing.feed(np.zeros((6_000, 40), np.float32), hearing.start)
    assert sum(a.nbytes for a in frontend._last[:2]) <= 80_000 and hearing._last[0] is None


def test_the_command_listens_for_several_words(tmp_path, monkeypatch, capsys):
    class Microphone(list):
        device = SimpleNamespace(name="a test")

    monkeypatch.setattr("asr.audio.microphone.Microphone", lambda *_: nullcontext(Microphone(blocks(stream()))))
    files = [str(save_loud(tmp_path / f"{name}.safetensors")) for name in ("boom", "bang")]
    assert main(["listen", files[0], "--model", files[1], "--save-alarms", str(tmp_path / "alarms")]) == 0
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) == 4 and {row[3] for row in rows} == set(files) and "'boom or boom'" in err
    assert {p.name.split("-")[0] for p in (tmp_path / "alarms").iterdir()} == {"boom", "bang"}


def test_the_command_finds_several_words_in_files(tmp_path, capsys):
    files = [str(save_loud(tmp_path / f"{name}.safetensors")) for name in ("boom", "bang")]
    soundfile.write(tmp_path / "a.wav", np.clip(stream(), -1, 1), SAMPLE_RATE, "FLOAT")
    recording = str(tmp_path / "a.wav")
    assert main(["detect", "--model", files[0], "--model", files[1], recording]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {row[3] for row in rows} == set(files)
    assert main(["detect", "--model", files[0], recording]) == 0
    alone = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert alone == [row[:3] for row in rows if row[3] == files[0]]
    assert main(["detect", "--model", files[0], "--phrase", "hey you", "--format", "json", recording]) == 0
    assert {json.loads(line)["model"] for line in capsys.readouterr().out.splitlines()} >= {files[0]}
