"""The attention decoder as a judge of n-best lists: by tiny models, by the packaged one, by `asr transcribe`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_attention import MODEL

import asr
from asr import audio
from asr.attention.joint import AttentionJudge, JointModel
from asr.audio import Recording
from asr.cli import main
from asr.errors import UsageError
from asr.model.checkpoint import CheckpointError
from asr.model.interface import Latency
from asr.model.network.ctc import save_model
from asr.recognizer import Recognizer, RecognizerOptions
from asr.search.base import Hypothesis
from asr.search.decoder import DecoderOptions
from asr.search.options import Weights

DATA = Path(__file__).parent / "data"
CLIPS = [json.loads(line) for line in (DATA / "clips.jsonl").open()]
TEXTS = [Hypothesis("ab", -1.0, -1.0, 0.0), Hypothesis("a", -1.5, -1.5, 0.0), Hypothesis("", -2.0, -2.0, 0.0)]


@pytest.fixture(scope="module")
def model() -> JointModel:
    torch.manual_seed(0)
    return JointModel(MODEL).eval()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(80, MODEL.frontend.n_mels)).astype(np.float32)


@pytest.mark.parametrize("latency", [None, Latency(2, 3)])
def test_scores_are_the_searchs_and_the_decoders(model, frames, latency):
    steps = slice(3, 15)
    found = AttentionJudge(model, 0.5, latency)(frames, steps, TEXTS)
    hidden, _ = model.encode(torch.from_numpy(frames)[None], torch.tensor([80]), latency)
    expected = dict(zip("ab a ".split(" "), model.attention.ln_probability(hidden[-1][0, steps], ["ab", "a", ""])))
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for before in TEXTS:
        after = next(h for h in found if h.text == before.text)
        assert after.score == pytest.approx(before.score + 0.5 * expected[before.text], abs=1e-4)
        assert after.acoustic == before.acoustic


def test_a_weight_of_nothing_changes_nothing_and_a_large_one_decides(model, frames):
    assert AttentionJudge(model, 0.0)(frames, slice(None), TEXTS) == TEXTS
    judge = AttentionJudge(model, 1e6)
    by_attention = dict(
        zip([h.text for h in TEXTS], judge.ln_probability(frames, slice(None), [h.text for h in TEXTS]))
    )
    assert judge(frames, slice(None), TEXTS)[0].text == max(by_attention, key=by_attention.get)


def packaged(weight: float) -> Recognizer:
    wanted = DecoderOptions(beam=16, lm=False, n_best=16, weights=Weights(attention=weight))
    try:
        return asr.load("english", RecognizerOptions(wanted, attention=True))
    except CheckpointError as error:  # none is packaged, or that of another encoder
        pytest.skip(str(error))


def test_the_packaged_decoder_judges_real_speech():
    recognizer, clip, words = packaged(100.0), DATA / CLIPS[0]["audio_filepath"], CLIPS[0]["text"].split()
    frames, judge = recognizer.model.frontend(audio.load(str(clip))), AttentionJudge.load("english", 1.0)
    swapped = " ".join(words[len(words) // 2 :] + words[: len(words) // 2])
    right, wrong = judge.ln_probability(frames, slice(None), [CLIPS[0]["text"], swapped])
    assert right > wrong + 5
    piece, _ = next(recognizer.posteriors(Recording(str(clip)).blocks()))
    segment = recognizer.transcribe(clip).segments[0]
    texts = [segment.spoken, *segment.alternatives]
    by_attention = judge.ln_probability(piece.frames, piece.steps, texts)
    assert by_attention == sorted(by_attention, reverse=True) and len(texts) > 4
    assert segment.spoken != packaged(0.0).transcribe(clip).segments[0].spoken  # what CTC alone prefers


def test_a_search_is_needed_and_a_decoder(tmp_path):
    for decoder in (DecoderOptions(beam=1), DecoderOptions(commands=("yes",))):
        with pytest.raises(UsageError, match="nothing to rescore"):
            asr.load("english", RecognizerOptions(decoder, attention=True))
    save_model(JointModel(), tmp_path / "bare.safetensors", {})
    with pytest.raises(CheckpointError, match="bare.safetensors has no attention decoder"):
        asr.load(tmp_path / "bare.safetensors", RecognizerOptions(attention=True))


def transcribed(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["transcribe", "--threads", "1", "--quiet", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_command_rescores(capsys):
    clip = DATA / CLIPS[0]["audio_filepath"]
    expected = packaged(100.0).transcribe(clip).text
    status, out, err = transcribed(
        capsys, "--no-lm", "--beam", 16, "--rescore", "attention", "--weights", "attention=100", clip
    )
    assert (status, out.strip(), err) == (0, expected, "")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--rescore", "attention", "--beam", 1), "nothing to rescore"),
        (("--weights", "attention=1"), "needs --rescore attention"),
        (("--weights", "lm=x"), "'x' is no weight for lm"),
        (("--weights", "lm=1", "--no-lm"), "has no weight called lm"),
        (("--weights", "lm=1", "--beam", 1), "has no weight called lm, only: none"),
        (("--weights", "rnn=1", "--letters"), "has no weight called rnn"),
        (("--commands", "COMMANDS", "--weights", "lm=1"), "leave --weights out"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(capsys, tmp_path, arguments, said):
    (tmp_path / "commands").write_text("yes\n")
    given = [tmp_path / "commands" if a == "COMMANDS" else a for a in arguments]
    status, out, err = transcribed(capsys, *given, "x.wav")
    assert status == 2 and not out and said in err and err.count("\n") == 1


def test_weights_of_the_command_line_reach_the_search(capsys):
    clip = DATA / CLIPS[0]["audio_filepath"]
    few, many = (
        transcribed(capsys, "--letters", "--beam", 8, "--weights", f"word={word}", clip)[1].split() for word in (-20, 5)
    )
    assert len(few) < len(many)
    assert asr.load(options=RecognizerOptions(DecoderOptions(weights=Weights(lm=0.7)))).decoder.weights.lm == 0.7
