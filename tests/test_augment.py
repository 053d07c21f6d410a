"""Augmentation: the same from the same seed, other otherwise, and as loud and noisy as it should be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio.features import SAMPLE_RATE
from asr.training import augment
from asr.training.augment import Augmenter, AugmentOptions, colour, room, speed

PLAIN = AugmentOptions(speed=0, warp=0, room=0, noise=0, colour=0, clip=0, level=(-20, -20), time_masks=0, band_masks=0)


def tone(seconds: float, hz: float = 500, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def hiss(n: int, seed: int = 0, level: float = 0.05) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


NOISES = [hiss(40_000), hiss(3_000, 1)]  # one shorter than an utterance


def decibels(x: np.ndarray) -> float:
    return 20 * np.log10(augment.loudness(x))


def pitch(x: np.ndarray) -> float:
    return np.abs(np.fft.rfft(x)).argmax() * SAMPLE_RATE / len(x)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_everything_at_once(seed, count):
    utterances = [tone(0.3 + 0.2 * i) for i in range(count)]
    before = [u.copy() for u in utterances]
    augmenter = Augmenter(AugmentOptions(), NOISES)
    out = augmenter.waveform(utterances, np.random.default_rng(seed))
    assert out.dtype == np.float32 and np.isfinite(out).all() and 0 < np.abs(out).max() <= 1
    spoken = sum(map(len, utterances)) / SAMPLE_RATE
    assert spoken / 1.13 - 0.01 < len(out) / SAMPLE_RATE < spoken / 0.87 + 0.4 + 0.8 * count + 0.01
    again = Augmenter(AugmentOptions(), NOISES).waveform(utterances, np.random.default_rng(seed))
    assert (out == again).all()
    other = augmenter.waveform(utterances, np.random.default_rng(seed + 1))
    assert len(other) != len(out) or not (other == out).all()
    assert all((u == b).all() for u, b in zip(utterances, before))  # the cache's samples stay as they are
    assert np.allclose(out * 32768, np.round(out * 32768))  # as a 16-bit file would hold it


@pytest.mark.parametrize("level", [-45.0, -30.0, -10.0])
def test_level(level):
    out = Augmenter(replace(PLAIN, level=(level, level)), []).waveform([tone(1)], np.random.default_rng(0))
    assert decibels(out) == pytest.approx(level, abs=0.2)


@pytest.mark.parametrize("snr", [0.0, 10.0, 25.0])
@pytest.mark.parametrize("noise", [0, 1])
def test_signal_to_noise_ratio(snr, noise):
    clean = Augmenter(replace(PLAIN, noise=0), NOISES).waveform([tone(1)], np.random.default_rng(4))
    noisy = replace(PLAIN, noise=1, snr=(snr, snr))
    mixed = Augmenter(noisy, [NOISES[noise]]).waveform([tone(1)], np.random.default_rng(4))
    assert decibels(clean) - decibels(mixed - clean) == pytest.approx(snr, abs=0.7)


@pytest.mark.parametrize("ratio", [0.0, 10.0])
def test_somebody_else_talks_at_the_same_time(ratio):
    clean = Augmenter(PLAIN, [], NOISES).waveform([tone(1)], np.random.default_rng(4))
    beside = Augmenter(replace(PLAIN, talker=1, talker_snr=(ratio, ratio)), [], NOISES)
    mixed = beside.waveform([tone(1)], np.random.default_rng(4))
    assert decibels(clean) - decibels(mixed - clean) == pytest.approx(ratio, abs=0.7)


def test_utterances_follow_each_other_with_pauses():
    out = Augmenter(PLAIN, []).waveform([tone(0.5, 300), tone(0.5, 1_000)], np.random.default_rng(1))
    loud = np.nonzero(np.abs(out) > 0.001)[0]
    gaps = np.diff(loud)
    assert gaps.max() > 320 and np.count_nonzero(gaps > 100) == 1
    split = loud[gaps.argmax()] + 1
    assert pitch(out[loud[0] : split]) == pytest.approx(300, abs=3)
    assert pitch(out[loud[loud > split][0] : loud[-1]]) == pytest.approx(1_000, abs=3)


def test_silence_and_one_sample_do_no_harm():
    augmenter = Augmenter(
        replace(AugmentOptions(), room=1, colour=1, noise=1, clip=1), [*NOISES, np.zeros(500, np.float32)]
    )
    for seed in range(6):
        for samples in (np.zeros(8_000, np.float32), np.ones(1, np.float32)):
            out = augmenter.waveform([samples], np.random.default_rng(seed))
            assert np.isfinite(out).all() and np.abs(out).max(initial=0) <= 1


@pytest.mark.parametrize("factor", [0.88, 1.0, 1.12])
def test_speed_moves_length_and_pitch(factor):
    out = speed(tone(1.0), factor)
    assert len(out) == pytest.approx(SAMPLE_RATE / factor, abs=2) and pitch(out) == pytest.approx(
        500 * factor, rel=0.01
    )


def test_a_room_rings_after_the_sound():
    click = np.zeros(16_000, np.float32)
    click[1_000] = 0.5
    wet = room(click, np.random.default_rng(2))
    assert wet.shape == click.shape and wet.dtype == np.float32
    assert wet[1_000] == pytest.approx(0.5, abs=1e-5) and np.abs(wet[:1_000]).max() < 1e-5  # nothing before
    early, late = np.abs(wet[1_160:3_000]).mean(), np.abs(wet[10_000:12_000]).mean()
    assert early > 1e-4 and early > 10 * late


def test_a_microphone_colours_but_keeps_time():
    x = hiss(16_000)
    out = colour(x, np.random.default_rng(0))
    assert out.shape == x.shape and out.dtype == np.float32 and not np.allclose(out, x, atol=0.01)
    assert np.correlate(out, x, "full").argmax() == len(x) - 1


def test_overdrive_flattens_the_tops():
    out = Augmenter(replace(PLAIN, clip=1), []).waveform([tone(1)], np.random.default_rng(3))
    assert np.mean(np.abs(out) == np.abs(out).max()) > 0.1


@pytest.mark.parametrize("noises", [NOISES, []])
def test_background(noises):
    augmenter = Augmenter(AugmentOptions(), noises)
    for seed in range(5):
        out = augmenter.background(1.5, np.random.default_rng(seed))
        assert out.shape == (24_000,) and out.dtype == np.float32 and 0 < np.abs(out).max() <= 1
        assert (out == augmenter.background(1.5, np.random.default_rng(seed))).all()


@settings(max_examples=30)
@given(st.integers(0, 600), st.sampled_from([8, 40, 80]), st.integers(0, 1_000))
def test_masks(frames, bands, seed):
    options, fill = AugmentOptions(), np.arange(bands, dtype=np.float32) + 100
    x = np.random.default_rng(seed).standard_normal((frames, bands)).astype(np.float32)
    out = Augmenter(options, []).frames(x.copy(), fill, np.random.default_rng(seed))
    masked = out != x
    assert out.shape == x.shape and (out[masked] == np.broadcast_to(fill, x.shape)[masked]).all()
    rows, columns = masked.all(1), masked.all(0) & (frames > 0)
    assert masked[~rows][:, ~columns].sum() == 0  # whole frames and whole bands only
    longest = round(options.time_masks * frames / 400)
    assert rows.sum() <= longest * options.time_width or columns.all()
    assert columns.sum() <= options.band_masks * options.band_width or rows.all()
    assert (out == Augmenter(options, []).frames(x.copy(), fill, np.random.default_rng(seed))).all()


def test_masks_do_happen_and_can_be_turned_off():
    x, fill = np.ones((400, 80), np.float32), np.zeros(80, np.float32)
    shares = [
        (Augmenter(AugmentOptions(), []).frames(x.copy(), fill, np.random.default_rng(s)) == 0).mean()
        for s in range(50)
    ]
    assert 0.05 < np.mean(shares) < 0.4 and min(shares) == 0
    assert (Augmenter(PLAIN, []).frames(x.copy(), fill, np.random.default_rng(0)) == 1).all()
