"""A text over a whole recording: words come to the clip they were said in."""

import json
from pathlib import Path

import numpy as np
import pytest

import asr
from asr import audio
from asr.align.recording import align_speech
from asr.align.words import AlignError
from asr.commands.align import speech

DATA = Path(__file__).parent / "data"
CLIPS = [json.loads(line) for line in (DATA / "clips.jsonl").open()]
PAUSE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def recognizer():
    return asr.load()


@pytest.fixture(scope="module")
def stretches(recognizer):
    samples = np.concatenate([x for c in CLIPS for x in (audio.load(str(DATA / c["audio_filepath"])), PAUSE)])
    return speech(recognizer, np.array_split(samples, 7))


def begins() -> np.ndarray:
    """Seconds at which each clip begins."""
    return np.cumsum([0.0, *(c["duration"] + 1 for c in CLIPS)])


def test_every_word_is_in_its_clip(recognizer, stretches):
    words = [w for c in CLIPS for w in c["text"].split()]
    found = align_speech(stretches, words, recognizer.aligner)
    frame = recognizer.aligner.frame_seconds
    placed = [(s.start + frame * a.start_frame, s.start + frame * a.end_frame, a) for s in found for a in s.words]
    assert [a.word for *_, a in placed] == words
    clip = np.searchsorted(begins(), [(start + end) / 2 for start, end, _ in placed], "right") - 1
    assert clip.tolist() == [k for k, c in enumerate(CLIPS) for _ in c["text"].split()]
    assert all(a < b for a, b, _ in placed) and all(x[1] <= y[0] + 1e-6 for x, y in zip(placed, placed[1:]))


def test_speech_that_the_text_lacks_takes_no_words(recognizer, stretches):
    wanted = CLIPS[0]["text"].split() + CLIPS[-1]["text"].split()
    found = align_speech(stretches, wanted, recognizer.aligner)
    half = recognizer.aligner.frame_seconds / 2
    middles = [s.start + half * (a.start_frame + a.end_frame) for s in found for a in s.words]
    clip = np.searchsorted(begins(), middles, "right") - 1
    assert clip.tolist() == [0] * len(CLIPS[0]["text"].split()) + [len(CLIPS) - 1] * len(CLIPS[-1]["text"].split())


def test_a_text_that_was_never_said_is_hardly_sure(recognizer, stretches):
    def sure(text: str) -> float:
        found = align_speech(stretches[-1:], text.split(), recognizer.aligner)
        return np.mean(recognizer.aligner.confidence("aligned", found[0].words))

    assert sure(CLIPS[-1]["text"]) > 0.8
    assert sure("my uncle keeps seven yellow parrots and a very old dog in his garden") < 0.2


def test_words_no_lexicon_has_are_aligned_by_their_letters(recognizer, stretches):
    words = CLIPS[-1]["text"].replace("printed", "brintedd").split()
    (found,) = align_speech(stretches[-1:], words, recognizer.aligner)
    assert [a.word for a in found.words] == words and found.words[0].evidence.spelt == 1


def test_no_speech_and_too_little_of_it(recognizer, stretches):
    with pytest.raises(AlignError, match="no speech"):
        align_speech(speech(recognizer, [np.zeros(48_000, np.float32)]), ["hello"], recognizer.aligner)
    with pytest.raises(AlignError, match="too long to have been said"):
        align_speech(stretches[:1], ["supercalifragilistic"] * 40, recognizer.aligner)
