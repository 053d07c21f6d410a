"""Slower copies: as long as they should be, at the same pitch, as librosa makes them; and without librosa."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr import audio
from wakeword.voices.synthesis import FASTEST, SLOWEST, WINDOW, _stretched, time_stretch

CLIP = Path(__file__).parent / "data" / "independence.opus"


@pytest.mark.parametrize("tempo", [0.6, 0.73, 0.95])
def test_as_librosa_does_it(tempo):
    effects = pytest.importorskip("librosa.effects")
    clip = audio.load(str(CLIP))
    np.testing.assert_allclose(_stretched(clip, tempo), effects.time_stretch(clip, rate=tempo, n_fft=512), atol=5e-3)


def test_slower_by_chance_and_the_same_from_one_seed():
    clip = np.sin(np.arange(16_000) * 0.3).astype(np.float32)
    slow, again, other = time_stretch([clip] * 5, 1), time_stretch([clip] * 5, 1), time_stretch([clip] * 5, 2)
    assert all(np.array_equal(a, b) for a, b in zip(slow, again)) and len({len(c) for c in [*slow, *other]}) == 10
    assert all(len(clip) / FASTEST <= len(c) <= len(clip) / SLOWEST and c.dtype == np.float32 for c in slow)
    of_tone = np.abs(np.fft.rfft(slow[0][4000:12_000]))
    assert of_tone.argmax() == round(0.3 / (2 * np.pi) * 8000)
    assert time_stretch([clip[:WINDOW]], 1)[0] is not clip and np.array_equal(
        time_stretch([clip[:WINDOW]], 1)[0], clip[:WINDOW]
    )


def test_training_needs_nothing_that_only_the_tests_install():
    code = "import sys; sys.modules['librosa'] = None; import wakeword.train.build"
    subprocess.run([sys.executable, "-c", code], check=True)
