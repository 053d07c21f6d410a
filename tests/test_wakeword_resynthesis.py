"""Clips said anew: as slow as they should be, by higher and lower voices, still the same words."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyworld

from asr import audio
from asr.audio.features import SAMPLE_RATE, LogMel, LogMelOptions
from wakeword.phonemes import Fusion, FusionOptions
from wakeword.phrase import ways
from wakeword.synthesis import HARDER, HIGHEST, LOWEST, Manner, said_anew

CLIP = audio.load(str(Path(__file__).parent / "data" / "independence.opus"))


def middle_pitch(samples: np.ndarray) -> float:
    pitch, _ = pyworld.dio(samples.astype(np.float64), SAMPLE_RATE, 60.0, 700.0)
    return float(np.median(pitch[pitch > 0]))


def test_tempo_pitch_and_the_same_from_one_seed():
    spoken = Manner(melody=0.0, whisper=0.0)
    anew, again = (said_anew([CLIP] * 6, 1, spoken) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(anew, again)) and len({len(c) for c in anew}) > 3
    slow, fast = spoken.tempo
    assert all(c.dtype == np.float32 and len(CLIP) / fast - 160 < len(c) < len(CLIP) / slow + 160 for c in anew)
    pitches = [middle_pitch(c) for c in anew]
    assert max(pitches) > 1.4 * min(pitches) and all(LOWEST / 1.3 < p < HIGHEST * 1.3 for p in pitches)
    assert all(abs(np.abs(c).max() - np.abs(CLIP).max()) < 1e-4 for c in anew)


def test_a_whisper_has_no_pitch():
    [whispered] = said_anew([CLIP], 1, Manner(whisper=1.0))
    pitch, _ = pyworld.dio(whispered.astype(np.float64), SAMPLE_RATE)
    assert np.mean(pitch > 0) < 0.3


def test_the_words_stay_what_they_were():
    frontend, fusion = LogMel(LogMelOptions(n_mels=40)), Fusion(FusionOptions(tuple(ways("independence"))))
    before, *after = (fusion.heard(frontend(clip)) for clip in [CLIP, *said_anew([CLIP] * 5, 2, HARDER)])
    assert np.median(after) > 0.5 * before


def test_silence_and_a_hundredth_of_a_second_do_no_harm():
    for clip in (np.zeros(3000, np.float32), CLIP[:160]):
        assert np.isfinite(said_anew([clip], 1)[0]).all()


def test_training_needs_nothing_that_only_the_tests_install():
    code = "import sys; sys.modules['librosa'] = None; import wakeword.train.build"
    subprocess.run([sys.executable, "-c", code], check=True)
