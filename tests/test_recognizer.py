"""The packaged model on real clips, silence and noise; cuts, batches and block sizes must not show."""

import json
import pickle
import tracemalloc
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asr
from asr import audio
from asr.audio.vad import SegmenterOptions, Span
from asr.native import encoder as native
from asr.recognizer import STEP_COST, Piece, Recognizer, RecognizerOptions, _batches
from asr.score import errors, rate, word_errors
from asr.search.decoder import DecoderOptions
from wakeword.spotter import spotter

DATA = Path(__file__).parent / "data"
CLIPS = [json.loads(line) for line in (DATA / "clips.jsonl").open()]
RATE = 16_000


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return asr.load()


@pytest.fixture(scope="module")
def greedy() -> Recognizer:
    return asr.load(options=RecognizerOptions(DecoderOptions(beam=1)))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """All clips with pauses of a second between them."""
    pause = np.zeros(RATE, np.float32)
    return np.concatenate([x for c in CLIPS for x in (audio.load(str(DATA / c["audio_filepath"])), pause)])


def texts(segments) -> list[str]:
    return [s.spoken for s in segments]


def cut(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def test_real_clips_are_understood(recognizer):
    heard = [recognizer.transcribe(DATA / c["audio_filepath"]).spoken for c in CLIPS]
    assert rate(*word_errors([c["text"] for c in CLIPS], heard)) < 0.35


def test_words_have_times_and_confidences(recognizer):
    transcript = recognizer.transcribe(DATA / CLIPS[0]["audio_filepath"])
    words = [w for s in transcript.segments for w in s.words]
    assert transcript.duration == pytest.approx(CLIPS[0]["duration"], abs=0.1)
    assert words and all(0 <= w.start < w.end <= transcript.duration + 0.1 for w in words)
    assert all(a.end <= b.start for a, b in zip(words, words[1:]))
    assert all(0 <= w.confidence <= 1 for w in words)


def test_word_times_are_those_of_the_speech(recognizer):
    row = json.loads((DATA / "timed.json").read_text())
    found = [w for s in recognizer.transcribe(DATA / row["audio_filepath"]).segments for w in s.words]
    said = [word for word, _, _ in row["words"]]
    same = SequenceMatcher(None, said, [w.text for w in found], autojunk=False).get_matching_blocks()
    pairs = [(found[m.b + i], row["words"][m.a + i]) for m in same for i in range(m.size)]
    wrong = np.abs([(word.start - start, word.end - end) for word, (_, start, end) in pairs])
    assert len(pairs) > len(said) / 2 and np.median(wrong) < 0.06 and np.percentile(wrong, 90) < 0.2


def test_a_pause_before_the_speech_moves_the_times_only(recognizer):
    samples = audio.load(str(DATA / CLIPS[0]["audio_filepath"]))
    [early] = recognizer.segments([samples])
    [late] = recognizer.segments([np.zeros(40 * RATE, np.float32), samples])
    assert errors(late.spoken, early.spoken) < 0.15 * len(early.spoken)  # letters: what the encoder sees before differs
    assert late.start == pytest.approx(early.start + 40, abs=0.1)


@settings(max_examples=5, deadline=None)
@given(size=st.integers(100, 80_000))
def test_block_size_does_not_show(greedy, speech, size):
    """Equal texts and times, and where the model is compiled, confidences to the last bit."""
    whole, pieces = list(greedy.segments([speech])), list(greedy.segments(cut(speech, size)))
    assert [(w.text, w.start, w.end) for s in pieces for w in s.words] == [
        (w.text, w.start, w.end) for s in whole for w in s.words
    ]
    assert [s.confidence for s in pieces] == pytest.approx([s.confidence for s in whole], abs=1e-4)
    if native is not None:
        assert pieces == whole


def test_what_is_no_sound_is_heard_as_silence(greedy, speech, caplog):
    broken = speech.astype(np.float64)
    broken[: RATE // 2 : 7], broken[-RATE // 2 :: 5] = np.nan, 1e300
    silent = np.where(np.abs(broken) < 100, broken, 0).astype(np.float32)
    assert list(greedy.segments(cut(broken, 9_000))) == list(greedy.segments(cut(silent, 9_000))) != []
    assert caplog.text.count("NaN, infinite") == 1
    whole = (speech * 32_767).astype(np.int16)
    assert list(greedy.segments([whole])) == list(greedy.segments([whole / np.float32(32_768)]))


def test_batching_does_not_show(greedy, speech):
    alone = Recognizer(greedy.model, greedy.aligner, replace(greedy.options, batch=0.0, gather=0.0))
    assert texts(alone.segments([speech])) == texts(greedy.segments([speech]))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 900), max_size=25), st.sampled_from([0, 600, 2_000]))
def test_batches_are_whole_bounded_and_cheap(lengths, most):
    pieces = [Piece(Span(1_000 * i, 1_000 * i + n), np.zeros((n, 1), np.float32), 0, 4) for i, n in enumerate(lengths)]
    found = [[len(p.frames) for p in batch] for batch in _batches(pieces, most)]
    assert sorted(n for batch in found for n in batch) == sorted(lengths)
    assert all(len(batch) * max(batch) <= most or len(batch) == 1 for batch in found)
    cost = sum(max(batch) * (STEP_COST + len(batch)) for batch in found)
    assert cost <= sum(n * (STEP_COST + 1) for n in lengths) + 1e-6
    if sum(lengths) and len(lengths) * max(lengths) <= most:
        assert cost <= max(lengths) * (STEP_COST + len(lengths)) + 1e-6


def test_no_frames_give_no_text(recognizer):
    ((letters, phonemes),) = recognizer.log_probs([np.zeros((0, 80), np.float32)])
    assert letters.shape == (0, len(recognizer.model.alphabet)) and len(phonemes) == 0
    assert recognizer.decoder(letters, phonemes)[0].text == ""


def test_cuts_through_running_speech_hardly_show(greedy, speech):
    """Speech without a pause is cut somewhere: the encoder sees beyond the cut, so the words stay."""
    running = speech[np.abs(np.convolve(np.abs(speech), np.ones(3200) / 3200, "same")) > 1e-3]
    short = replace(greedy.options, segments=SegmenterOptions(max_length=5.0))
    pieces = list(Recognizer(greedy.model, greedy.aligner, short).segments([running]))
    whole = " ".join(texts(greedy.segments([running])))
    assert len(pieces) > len(list(greedy.segments([running])))
    assert errors(whole, " ".join(texts(pieces))) < 0.05 * len(whole)  # letters


@pytest.mark.parametrize("noise", ["silence", "white", "hum", "clicks"])
def test_nothing_is_heard_where_nothing_is_said(recognizer, noise):
    rng, t = np.random.default_rng(1), np.arange(60 * RATE) / RATE
    sounds = {
        "silence": np.zeros(len(t)),
        "white": rng.normal(0, 0.02, len(t)),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * t) + 0.05 * np.sin(2 * np.pi * 150 * t),
        "clicks": (rng.random(len(t)) < 1e-4) * 0.5,
    }
    assert not list(recognizer.segments(cut(sounds[noise].astype(np.float32), 10 * RATE)))


def test_memory_does_not_grow_with_the_audio(greedy, speech):
    recognizer = Recognizer(greedy.model, greedy.aligner, replace(greedy.options, gather=20.0))

    def peak(times: int) -> int:
        tracemalloc.start()
        for _ in recognizer.segments(block for _ in range(times) for block in cut(speech, 10 * RATE)):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(4)  # with what is loaded once
    assert peak(12) < 1.3 * peak(4)


def test_n_best_are_different_texts(speech):
    recognizer = asr.load(options=RecognizerOptions(DecoderOptions(n_best=4)))
    segments = list(recognizer.segments([speech]))
    for segment in segments:
        assert segment.spoken not in segment.alternatives
        assert len(set(segment.alternatives)) == len(segment.alternatives) <= 3
    assert any(segment.alternatives for segment in segments)


def test_a_file_that_breaks_off_keeps_its_text(recognizer, tmp_path):
    import soundfile

    samples = audio.load(str(DATA / CLIPS[0]["audio_filepath"]))
    soundfile.write(tmp_path / "whole.wav", samples, RATE)
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: len(data) * 2 // 3])
    transcript = recognizer.transcribe(tmp_path / "half.wav")
    assert transcript.text and "half.wav" in transcript.warning
    assert recognizer.transcribe(tmp_path / "whole.wav").warning == ""


def test_a_recogniser_goes_to_another_process():
    recognizer = asr.load(options=asr.RecognizerOptions(asr.DecoderOptions(beam=1)))
    again = pickle.loads(pickle.dumps(recognizer))
    clip = Path(__file__).parent / "data" / "names.opus"
    assert again.transcribe(clip) == recognizer.transcribe(clip)
    with pytest.raises(TypeError, match="asr.load"):
        pickle.dumps(Recognizer(recognizer.model, recognizer.aligner))


def test_listener_phrase_and_writer_go_to_another_process():
    samples = audio.load(str(Path(__file__).parent / "data" / "names.opus"))
    recognizer = asr.load(options=asr.RecognizerOptions(asr.DecoderOptions(beam=1), written=None))
    listener, phrase, writer = asr.Listener(recognizer), spotter(recognizer.model, "different font"), asr.Writer.load()
    again = [pickle.loads(pickle.dumps(thing)) for thing in (listener, phrase, writer)]
    assert [r.text for r in again[0].over([samples])] == [r.text for r in listener.over([samples])]
    assert again[1].feed(samples, again[1].start())[0] == phrase.feed(samples, phrase.start())[0] != []
    assert again[2].text("how are you i am fine") == "How are you? I am fine."
