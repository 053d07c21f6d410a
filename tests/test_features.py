"""The front-end: equal to librosa's log-mel, and the same for any cut of the samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import features
from asr.audio.features import LOG_FLOOR, SAMPLE_RATE, LogMel, LogMelOptions, hz_to_mel, mel_filters, mel_to_hz

OPTIONS = LogMelOptions()
LOG_MEL = LogMel()


def sound(n: int, seed: int = 0) -> np.ndarray:
    """Noise whose loudness rises and falls, with a tone: silence to near full scale."""
    rng, t = np.random.default_rng(seed), np.arange(n) / SAMPLE_RATE
    loudness = 10 ** (-3 + 2.5 * np.sin(2 * np.pi * 1.3 * t))
    return (loudness * (0.2 * rng.standard_normal(n) + 0.5 * np.sin(2 * np.pi * 440 * t))).astype(np.float32)


@pytest.fixture(params=["compiled", "numpy"])
def way(request, monkeypatch) -> None:
    """Both ways in which power is weighted by the filters."""
    if request.param == "numpy":
        monkeypatch.setattr(features, "native", None)
    elif features.native is None:
        pytest.skip("installed without a compiler")


def librosas(samples: np.ndarray, options: LogMelOptions = OPTIONS) -> np.ndarray:
    librosa = pytest.importorskip("librosa")
    power = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE, n_fft=options.window, hop_length=options.hop, center=False, window="hann",
        power=2.0, n_mels=options.n_mels, fmin=options.low, fmax=options.high,
    )  # fmt: skip
    return np.log(np.maximum(power, LOG_FLOOR)).T


@pytest.mark.parametrize("options", [OPTIONS, LogMelOptions(n_mels=40, low=60.0, high=7_600.0)])
def test_equals_librosa(way, options):
    samples = sound(3 * SAMPLE_RATE + 77)
    complete = 1 + (len(samples) - options.window) // options.hop
    frames = LogMel(options)(samples)
    assert np.abs(frames[:complete] - librosas(samples, options)).max() < 1e-4
    assert frames.std() > 1  # not all at the floor


def test_the_end_is_completed_with_zeros():
    samples = sound(1_000)
    padded = np.pad(samples, (0, 400))
    assert np.abs(LOG_MEL(samples) - librosas(padded)[:7]).max() < 1e-4


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (400, 3), (560, 4), (16_000, 100)])
def test_number_of_frames(samples, frames):
    out = LOG_MEL(sound(samples))
    assert out.shape == (frames, 80) and out.dtype == np.float32 and np.isfinite(out).all()


def test_silence_is_at_the_floor():
    assert np.allclose(LOG_MEL(np.zeros(4_000, np.float32)), np.log(LOG_FLOOR))


@settings(max_examples=40)
@given(st.integers(0, 4_000), st.lists(st.integers(0, 4_000), max_size=8), st.integers(0, 1_000))
def test_any_cut_gives_the_same_frames(n, cuts, seed):
    samples, tail, pieces = sound(n, seed), LOG_MEL.start(), []
    for block in np.split(samples, sorted(min(c, n) for c in cuts)):
        frames, tail = LOG_MEL.feed(block, tail)
        pieces.append(frames)
        assert len(tail) < OPTIONS.window  # bounded memory
    pieces.append(LOG_MEL.flush(tail))
    cut, whole = np.concatenate(pieces), LOG_MEL(samples)
    assert cut.shape == whole.shape == (-(-n // 160), 80)
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("options", [OPTIONS, LogMelOptions(n_mels=40, low=60.0, high=7_600.0)])
def test_blocks_of_every_size_give_the_same_frames_to_the_bit(way, options):
    """Up to some minutes at once, where frames are computed in slices."""
    log_mel, samples = LogMel(options), np.tile(sound(7 * SAMPLE_RATE + 1_234), 12)
    whole, rng = log_mel(samples), np.random.default_rng(0)
    for most in (200, 1_000, 5_000, 50_000, 500_000):
        cuts, tail, pieces = np.cumsum(rng.integers(0, most, len(samples) * 2 // most)), log_mel.start(), []
        for block in np.split(samples, cuts[cuts < len(samples)]):
            frames, tail = log_mel.feed(block, tail)
            pieces.append(frames)
        np.testing.assert_array_equal(np.concatenate([*pieces, log_mel.flush(tail)]), whole)


def test_a_filter_between_two_bins_hears_nothing(way):
    frames = LogMel(LogMelOptions(n_mels=400))(sound(2_000))
    silent = mel_filters(LogMelOptions(n_mels=400)).max(0) == 0
    assert silent.any() and (frames[:, silent] == np.log(np.float32(LOG_FLOOR))).all()
    assert (frames[:, ~silent] > np.log(LOG_FLOOR)).any(0).all()


def test_sample_by_sample():
    samples, tail, frames = sound(1_203), LOG_MEL.start(), []
    for sample in samples:
        new, tail = LOG_MEL.feed(sample[None], tail)
        frames.append(new)
    frames.append(LOG_MEL.flush(tail))
    np.testing.assert_array_equal(np.concatenate(frames), LOG_MEL(samples))


def test_the_state_is_a_value():
    samples = sound(2_000)
    _, tail = LOG_MEL.feed(samples[:1_000], LOG_MEL.start())
    before = tail.copy()
    first, _ = LOG_MEL.feed(samples[1_000:], tail)
    samples[:] = 0  # the caller uses its buffer again
    assert (tail == before).all() and len(first) > 0
    again, _ = LOG_MEL.feed(sound(2_000)[1_000:], tail)
    assert (first == again).all()


def test_mel_scale_and_back():
    hz = np.linspace(0, 8_000, 500)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-8)
    assert hz_to_mel(1_000) == pytest.approx(15) and mel_to_hz(42) == pytest.approx(6_400)


@settings(max_examples=25)
@given(st.floats(0.85, 1.18))
def test_warped_filters_keep_their_area_and_the_highest_edge(warp):
    filters = mel_filters(OPTIONS, warp)
    assert filters.shape == (201, 80) and (filters >= 0).all() and (filters.max(0) > 0).all()
    centres = (filters * np.linspace(0, 8_000, 201)[:, None]).sum(0) / filters.sum(0)
    plain = mel_filters(OPTIONS)
    unwarped = (plain * np.linspace(0, 8_000, 201)[:, None]).sum(0) / plain.sum(0)
    assert (np.diff(centres) > 0).all()
    middle = slice(20, 60)  # well below the knee, wide enough for a good centre
    np.testing.assert_allclose(centres[middle], warp * unwarped[middle], rtol=0.03)
    assert np.nonzero(filters[:, -1])[0].max() == 199  # the last bin below 8 kHz, whatever the warp
    np.testing.assert_allclose(40 * filters[:, middle].sum(0), 1, atol=0.3)


def test_a_warp_of_1_changes_nothing():
    samples = sound(5_000)
    np.testing.assert_allclose(LOG_MEL.warped(samples, 1.0), LOG_MEL(samples), atol=1e-5)
    assert LOG_MEL.warped(samples[:0], 0.9).shape == (0, 80)


def test_a_warp_moves_a_tone_between_the_bands():
    tone = np.sin(2 * np.pi * 1_500 * np.arange(8_000) / SAMPLE_RATE).astype(np.float32)
    bands = [int(LOG_MEL.warped(tone, warp)[:20].mean(0).argmax()) for warp in (1.12, 1.0, 0.88)]
    assert bands[0] < bands[1] < bands[2]  # filters that sit higher hear the tone in a lower band
