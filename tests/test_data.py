"""Training data: manifests, the cache of decoded audio, draws, chains, batches, pronunciations."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio.features import SAMPLE_RATE
from asr.search.lexicon import Lexicon
from asr.training import data
from asr.training.data import Audio, ManifestError, Utterance, read_manifest
from asr.training.examples import batches, chain, draw

CLIPS = Path(__file__).parent / "data" / "clips.jsonl"


def write(folder: Path, *rows: dict | str) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), "utf-8")
    return path


def row(**changes) -> dict:
    return {"audio_filepath": "a.wav", "duration": 1.5, "text": "One, two."} | changes


def test_manifest(tmp_path):
    full = row(
        audio_filepath="b/c.flac",
        corpus="kathleen",
        speaker="k",
        duration=2,
        licence="CC0",
        text="Über\u2028all",
    )
    first, second = read_manifest(write(tmp_path, row(), json.dumps(full, ensure_ascii=False)))
    assert first == Utterance(tmp_path / "a.wav", 1.5, "one two", "corpus", "unknown", "One, two.")
    assert second == Utterance(tmp_path / "b/c.flac", 2.0, "uber all", "kathleen", "k", "Über\u2028all")


def test_a_manifest_may_begin_with_a_byte_order_mark(tmp_path):
    assert len(read_manifest(write(tmp_path, "\ufeff" + json.dumps(row())))) == 1


def test_manifest_of_real_clips():
    utterances = read_manifest(CLIPS)
    assert all(u.path.is_file() and u.text and u.corpus != "clips" for u in utterances)


@pytest.mark.parametrize(
    "bad",
    ["{", "", "[]", '"text"', "7", {"text": "a", "duration": 1}, {"audio_filepath": "a.wav", "text": "a"},
     row(duration="long"), row(duration=None), row(text=3), row(audio_filepath=None)],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, bad):
    with pytest.raises(ManifestError, match=r"corpus\.jsonl, line 2: not a manifest entry"):
        read_manifest(write(tmp_path, row(), bad, row()))


def test_a_manifest_tells_what_an_entry_lacks(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"audio_filepath": "a.wav", "text": "a"}\n')
    with pytest.raises(ManifestError, match="it has no 'duration'.; it is like {.audio_filepath"):
        read_manifest(tmp_path / "a.jsonl")


@pytest.mark.parametrize("duration", [0, -1.0, float("nan")])
def test_durations_are_above_zero(tmp_path, duration):
    with pytest.raises(ManifestError, match=r"line 2: the duration must be above 0 s, not (0|-1|nan)"):
        read_manifest(write(tmp_path, row(), row(duration=duration)))


def test_no_manifest_and_an_empty_one(tmp_path):
    with pytest.raises(ManifestError, match="none.jsonl: no such manifest"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(ManifestError, match="the manifest is empty"):
        read_manifest(write(tmp_path))


def corpus(folder: Path) -> list[Utterance]:
    """Three files of other rates and channels, the loudness telling them apart."""
    found = []
    for name, rate, channels, level, seconds in (
        ("a", 16_000, 1, 0.1, 0.5),
        ("b", 8_000, 2, 0.4, 1.0),
        ("c", 44_100, 1, 0.8, 0.25),
    ):
        t = np.arange(round(seconds * rate)) / rate
        tone = level * np.sin(2 * np.pi * 300 * t)
        soundfile.write(folder / f"{name}.wav", np.stack([tone] * channels, 1), rate)
        found.append(Utterance(folder / f"{name}.wav", seconds, "", "x", "y"))
    return found


def test_audio_is_decoded_once(tmp_path, monkeypatch):
    utterances = corpus(tmp_path)
    audio = Audio(utterances, tmp_path / "deep" / "cache")
    for i, (level, seconds) in enumerate(((0.1, 0.5), (0.4, 1.0), (0.8, 0.25))):
        samples = audio[i]
        assert samples.dtype == np.float32 and abs(len(samples) - seconds * SAMPLE_RATE) <= 1
        middle = samples[1_000:-1_000]
        assert np.abs(middle).max() == pytest.approx(level, rel=0.02)
        times = np.arange(1_000, len(samples) - 1_000) / SAMPLE_RATE
        np.testing.assert_allclose(middle, level * np.sin(2 * np.pi * 300 * times), atol=0.01)
    monkeypatch.setattr(data, "_decode", None)  # from here on only the cache can serve
    again = Audio(utterances, tmp_path / "deep" / "cache")
    assert all((again[i] == audio[i]).all() for i in range(3))
    monkeypatch.undo()
    other = Audio(utterances[::-1], tmp_path / "deep" / "cache")  # another listing, another cache
    assert (other[0] == audio[2]).all()
    assert not [p for p in os.listdir(tmp_path / "deep" / "cache") if not p.endswith((".pcm", ".npy"))]


def test_a_changed_file_is_decoded_anew(tmp_path):
    utterances = corpus(tmp_path)
    Audio(utterances, tmp_path / "cache")
    soundfile.write(utterances[0].path, np.zeros(3_000), SAMPLE_RATE)
    assert len(Audio(utterances, tmp_path / "cache")[0]) == 3_000


def test_a_file_of_equal_size_that_replaces_another_is_decoded_anew(tmp_path):
    utterances = corpus(tmp_path)
    before, status = Audio(utterances, tmp_path / "cache")[0], utterances[0].path.stat()
    samples, rate = soundfile.read(utterances[0].path)
    soundfile.write(utterances[0].path, samples / 2, rate)
    os.utime(utterances[0].path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert utterances[0].path.stat().st_size == status.st_size
    np.testing.assert_allclose(Audio(utterances, tmp_path / "cache")[0], before / 2, atol=1e-3)


@pytest.mark.parametrize("key", ["offset", "start"])
def test_a_manifest_may_name_a_part_of_a_file(tmp_path, key):
    ramp = np.linspace(0, 0.5, 3 * SAMPLE_RATE)
    soundfile.write(tmp_path / "long.wav", ramp, SAMPLE_RATE)
    rows = [{"audio_filepath": "long.wav", "duration": 0.5, "text": "b", key: start} for start in (0, 2.0)]
    (tmp_path / "parts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_manifest(tmp_path / "parts.jsonl")
    assert second.name == f"{tmp_path / 'long.wav'} at 2.00 s"
    with pytest.raises(ManifestError, match="line 1: parts of files are not heard here"):
        read_manifest(tmp_path / "parts.jsonl", parts=False)
    audio = Audio([first, second], tmp_path / "cache")
    np.testing.assert_allclose(audio[0], ramp[:8_000], atol=1e-3)
    np.testing.assert_allclose(audio[1], ramp[32_000:40_000], atol=1e-3)


@pytest.mark.parametrize("more", [{"offset": -1}, {"offset": "x"}, {"offset": 1, "start": 2}, {"start": float("inf")}])
def test_an_offset_that_is_none_names_the_line(tmp_path, more):
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_filepath": "a.wav", "duration": 1, "text": "", **more}))
    with pytest.raises(ManifestError, match="line 1"):
        read_manifest(tmp_path / "m.jsonl")


def test_missing_audio_files(tmp_path):
    utterances = corpus(tmp_path)
    for u in utterances[1:]:
        u.path.unlink()
    with pytest.raises(ManifestError, match=r"2 audio files of the manifest are missing, .*b\.wav the first"):
        Audio(utterances, tmp_path / "cache")


def test_a_broken_audio_file_is_named_and_leaves_nothing(tmp_path):
    utterances = corpus(tmp_path)
    utterances[1].path.write_text("no sound at all")
    with pytest.raises(ManifestError, match=r"cannot read .*b\.wav"):
        Audio(utterances, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_part_of_a_broken_file_cannot_be_read_either(tmp_path):
    (tmp_path / "b.wav").write_text("no sound at all")
    with pytest.raises(ManifestError, match=r"cannot read .*b\.wav .*: replace it or leave it out"):
        data.read_samples(Utterance(tmp_path / "b.wav", 1.0, "", "x", "y", start=0.5))


def some(count: int) -> list[Utterance]:
    return [Utterance(Path("a"), 1.0, "", "abc"[i % 3], "s") for i in range(count)]


def test_draw_by_weight():
    utterances = some(3_000)
    drawn = draw(utterances, {"a": 2.5, "b": 0.0}, np.random.default_rng(0))  # c is not named: 1
    copies = Counter(drawn)
    assert {copies[i] for i in range(0, 3_000, 3)} == {2, 3}
    assert sum(copies[i] for i in range(0, 3_000, 3)) == pytest.approx(2_500, rel=0.03)
    assert all(copies[i] == 0 for i in range(1, 3_000, 3)) and all(copies[i] == 1 for i in range(2, 3_000, 3))
    assert drawn == draw(utterances, {"a": 2.5, "b": 0.0}, np.random.default_rng(0)) != sorted(drawn)
    assert draw(utterances, {"a": 0, "b": 0, "c": 0}, np.random.default_rng(0)) == []


lengths = st.lists(st.floats(0.1, 30), max_size=60)


@given(lengths, st.floats(0, 1), st.floats(1, 25), st.integers(0, 99))
def test_chains(durations, share, limit, seed):
    durations, indices = np.array(durations), list(range(len(durations)))
    examples = chain(indices, durations, share, limit, np.random.default_rng(seed))
    assert [i for e in examples for i in e] == indices  # neighbours, in order, each once
    assert all(len(e) == 1 or sum(durations[e]) + len(e) - 2 <= limit + 1e-6 for e in examples)
    assert examples == chain(indices, durations, share, limit, np.random.default_rng(seed))
    assert share > 0 or all(len(e) == 1 for e in examples)


def test_chains_do_form():
    examples = chain(list(range(300)), np.full(300, 2.0), 0.25, 20.0, np.random.default_rng(0))
    assert 0.05 < np.mean([len(e) > 1 for e in examples]) <= 0.3 and max(map(len, examples)) >= 4


@given(lengths, st.floats(5, 60), st.integers(1, 3), st.integers(0, 99))
def test_batches(durations, seconds, together, seed):
    durations = np.array(durations)
    examples = chain(list(range(len(durations))), durations, 0.3, 20.0, np.random.default_rng(seed))
    found = list(batches(examples, durations, seconds, np.random.default_rng(seed), together))
    assert sorted(e for b in found for e in b) == sorted(examples)  # each in exactly one
    for batch in found:
        padded = len(batch) * max(durations[e].sum() for e in batch)
        assert len(batch) == 1 or padded <= seconds + 1e-6
    assert found == list(batches(examples, durations, seconds, np.random.default_rng(seed), together))


def test_batches_hold_like_lengths_in_random_order():
    durations = np.random.default_rng(0).uniform(1, 15, 400)
    examples = [[i] for i in range(400)]
    found = list(batches(examples, durations, 120, np.random.default_rng(1)))
    spoken = [durations[np.ravel(b)] for b in found]
    assert sum(d.sum() for d in spoken) / sum(len(d) * d.max() for d in spoken) > 0.85  # little padding
    means = [d.mean() for d in spoken]
    assert means != sorted(means) and found != list(batches(examples, durations, 120, np.random.default_rng(2)))


def test_batches_of_several_processes_take_equally_long():
    durations = np.random.default_rng(0).uniform(1, 15, 400)
    for seconds in range(60, 80):
        found = list(batches([[i] for i in range(400)], durations, seconds, np.random.default_rng(1), together=2))
        if len(found) % 2 == 0:
            break
    longest = [durations[np.ravel(b)].max() for b in found]
    assert max(abs(a - b) for a, b in zip(longest[::2], longest[1::2])) < 3
    assert len(found) % 2 == 0 and np.ptp(longest) > 10


def test_an_utterance_longer_than_a_batch_has_one_of_its_own():
    durations = np.array([1.0, 50.0, 1.0, 2.0])
    found = list(batches([[0], [1], [2], [3]], durations, 10, np.random.default_rng(0)))
    assert sorted(sorted(i for [i] in b) for b in found) == [[0, 2, 3], [1]]


LEXICON = """;;; # CMUdict
# pronunciations of the package
THE  DH AH0
the(2)  DH IY0
cat  K AE1 T # a comment

don't  D OW1 N T
"""


def test_lexicon():
    lexicon = Lexicon.parse(LEXICON.splitlines())
    assert lexicon.pronounce("the cat") == ["DH", "AH", "K", "AE", "T"]  # first pronunciation, no stress
    assert lexicon.pronounce("don't") == ["D", "OW", "N", "T"] and lexicon.pronounce("") == []
    assert lexicon.pronounce("the dog") is None
    assert lexicon.phonemes == ("AE", "AH", "D", "DH", "IY", "K", "N", "OW", "T")


def test_channels_that_cancel_are_heard(tmp_path):
    """As by `asr transcribe`: one of them, where their mean would be silence; else the mean."""
    sound = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) / 10
    for name, other, wanted in (("inverse", -sound, sound), ("half", sound / 2, 0.75 * sound)):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([sound, other], 1), 16_000, "FLOAT")
        heard = data.read_samples(Utterance(tmp_path / f"{name}.wav", 2.0, "", "x", "y"))
        np.testing.assert_allclose(heard, wanted, atol=1e-6)
