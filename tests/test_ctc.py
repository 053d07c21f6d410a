"""The acoustic model: its loss against a sum over all alignments, masks, heads."""

import itertools
import math
from collections import defaultdict

import pytest
import torch

from asr.audio.features import LogMelOptions
from asr.model.checkpoint import ModelOptions
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel
from asr.model.network.recurrent import KINDS
from asr.text import collapse

torch.set_num_threads(1)
TINY = dict(frontend=LogMelOptions(n_mels=20), symbols=(" ", "a", "b"), channels=3, hidden=6, layers=2)


def make(**settings) -> CTCModel:
    torch.manual_seed(1)
    model = CTCModel(ModelOptions(**{**TINY, **settings})).eval()
    model.mean.normal_()
    model.deviation.uniform_(0.5, 2)
    return model


def brute_force(log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Labels -> probability: (T', V) summed over all paths."""
    probs, totals = log_probs.exp().tolist(), defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(probs)):
        totals[tuple(collapse(path))] += math.prod(p[k] for p, k in zip(probs, path))
    return totals


@pytest.mark.parametrize("latency", [None, Latency(2, 1)])
def test_loss_equals_brute_force(latency):
    model, frames, lengths = make(), torch.randn(4, 20, 20), torch.tensor([20, 17, 9, 12])
    letters = [
        [2, 2, 3],
        [],
        [1],
        [2, 2, 2],
    ]  # empty; and in 3 frames "aaa" cannot be said: it counts nothing
    log_probs, out_lengths = model(frames, lengths, latency)
    assert out_lengths.tolist() == [5, 5, 3, 3]
    expected = 0.0
    for row, n, target in zip(log_probs, out_lengths.tolist(), letters):
        totals = brute_force(row[:n])
        assert sum(totals.values()) == pytest.approx(1, abs=1e-5)
        expected -= math.log(totals[tuple(target)]) if tuple(target) in totals else 0.0
    loss, on_phonemes = model.losses(frames, lengths, letters, [None] * 4, [latency])[:2]
    assert loss.item() == pytest.approx(expected / 16, rel=1e-4) and on_phonemes is None


def test_all_targets_empty():
    model, frames, lengths = make(), torch.randn(2, 20, 20), torch.tensor([20, 13])
    log_probs, n = model(frames, lengths)
    blank = -log_probs[0, :5, 0].sum() - log_probs[1, :4, 0].sum()
    loss, _ = model.losses(frames, lengths, [[], []], [None, None])[:2]
    torch.testing.assert_close(loss, blank / 9)
    loss.backward()
    assert torch.isfinite(model.head.weight.grad).all()


@pytest.mark.parametrize("latency", [None, Latency(3, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_whatever_it_holds(kind, latency):
    model, lengths = make(kind=kind), torch.tensor([41, 22])
    frames = torch.randn(2, 41, 20)
    together, n = model(frames, lengths, latency)
    alone, _ = model(frames[1:, :22], lengths[1:], latency)
    torch.testing.assert_close(together[1:, : n[1]], alone, atol=1e-5, rtol=0)
    frames[1, 22:] = 1e3
    assert torch.equal(model(frames, lengths, latency)[0][:, : n[1]], together[:, : n[1]])
    assert together.exp().sum(-1).allclose(torch.ones(2, 11), atol=1e-5)


def test_one_model_serves_full_context_and_chunks():
    model, frames, lengths = make(), torch.randn(1, 80, 20), torch.tensor([80])
    full, chunked = model(frames, lengths)[0], model(frames, lengths, Latency(4, 4))[0]
    assert full.shape == chunked.shape == (1, 20, 4) and not torch.allclose(full, chunked, atol=1e-4)
    torch.testing.assert_close(chunked[:, 16:], full[:, 16:], atol=0.5, rtol=0)  # only context differs


def test_frames_are_normalised_by_the_stored_mean():
    model, plain = make(), make()
    plain.mean.zero_(), plain.deviation.fill_(1)
    frames, lengths = torch.randn(1, 30, 20), torch.tensor([30])
    scaled = frames * model.deviation + model.mean
    torch.testing.assert_close(model(scaled, lengths)[0], plain(frames, lengths)[0], atol=1e-5, rtol=0)


def test_phonemes_have_a_head_of_their_own_on_a_middle_layer():
    model = make(phonemes=("AH", "K"), layers=3)
    assert model.options.read == ((2,), (1,))
    assert make(phonemes=("AH", "K"), layers=3, units="phonemes").options.read == ((1,), (2,))
    frames, lengths = torch.randn(2, 20, 20), torch.tensor([20, 16])
    hidden, n = model.encoder(model.normalise(frames), lengths)
    totals = brute_force(model.phoneme_head(hidden[1][0]).log_softmax(-1))
    on_letters, on_phonemes = model.losses(frames, lengths, [[2], [3]], [[1, 2], None])[:2]  # the second is not known
    assert on_phonemes.item() == pytest.approx(-math.log(totals[1, 2]) / 5, rel=1e-4)
    assert on_letters.item() == pytest.approx(
        make(phonemes=("AH", "K"), layers=3).losses(frames, lengths, [[2], [3]], [None, None])[0].item()
    )
    log_probs, of_phonemes, _ = model.both(frames, lengths)
    assert torch.equal(log_probs, model(frames, lengths)[0]) and make().both(frames, lengths)[1] is None
    torch.testing.assert_close(of_phonemes[0], model.phoneme_head(hidden[1][0]).log_softmax(-1))
    on_phonemes.backward()
    assert model.encoder.layers[0].forwards.weight_ih_l0.grad.abs().sum() > 0
    assert model.encoder.layers[2].forwards.weight_ih_l0.grad is None  # above the middle


def test_deep_phonemes_are_read_from_the_middle_and_the_last_layer():
    model = make(phonemes=("AH", "K"), layers=3, deep_phonemes=True)
    assert model.options.read == ((2,), (1, 2))
    frames, lengths = torch.randn(2, 20, 20), torch.tensor([20, 16])
    hidden, _ = model.encoder(model.normalise(frames), lengths)
    expected = model.phoneme_head(torch.cat([hidden[1][0], hidden[2][0]], -1)).log_softmax(-1)
    torch.testing.assert_close(model.both(frames, lengths)[1][0], expected)
    assert ModelOptions.from_dict(model.options.asdict()) == model.options
    assert "deep_phonemes" not in make().options.asdict()  # for those who do not know it
    with pytest.raises(ValueError, match="deep_phonemes is for a second head"):
        ModelOptions(units="phonemes", deep_phonemes=True)


@pytest.mark.parametrize("deep", [False, True])
def test_every_weight_gets_a_gradient(deep):
    model = make(phonemes=("AH",), deep_phonemes=deep)
    batch = torch.randn(1, 40, 20), torch.tensor([40]), [[2, 3]], [[1]]
    on_letters, on_phonemes = model.losses(*batch, [Latency(4, 2)])[:2]
    (on_letters + on_phonemes).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_two_views_are_heard_each_at_its_latency_and_their_difference_is_a_loss():
    model, lengths = make(phonemes=("AH", "K")), torch.tensor([24, 17] * 2)
    frames = torch.randn(4, 24, 20)
    log_probs = [
        torch.cat(pair)
        for pair in zip(
            *(model.both(frames[k : k + 2], lengths[:2], o)[:2] for k, o in ((0, None), (2, Latency(2, 1))))
        )
    ]
    expected = 0.0
    for rows in log_probs:
        for k, n in enumerate([6, 5]):
            one, other = rows[k, :n], rows[2 + k, :n]
            expected += ((one.exp() - other.exp()) * (one - other)).sum().item() / 2 / 11
    between = model.losses(frames, lengths, [[2], [3]] * 2, [[1], [2]] * 2, [None, Latency(2, 1)])[3]
    assert between.item() == pytest.approx(expected, rel=1e-4) and expected > 1e-4
    same = frames[:2].repeat(2, 1, 1)
    assert model.losses(same, lengths, [[2], [3]] * 2, [[1], [2]] * 2, [None, None])[3].item() == pytest.approx(
        0, abs=1e-6
    )
    assert model.losses(frames, lengths, [[2], [3]] * 2, [[1], [2]] * 2)[3] is None


def test_options_survive_json():
    import json

    options = ModelOptions(**TINY, phonemes=("AH", "K"), kind="lstm")
    assert ModelOptions.from_dict(json.loads(json.dumps(options.asdict()))) == options
