"""The encoder: lengths, padding, chunks, and how far ahead an output looks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from asr.audio.features import LogMelOptions
from asr.model.checkpoint import RECEPTIVE_FIELD, STRIDES, ModelOptions
from asr.model.interface import Latency
from asr.model.network.encoder import Encoder, Subsampling
from asr.model.network.recurrent import KINDS, PeepholeLSTM

torch.set_num_threads(1)
N_MELS = 20
MODES = [None, Latency(4, 3), Latency(3, 0), Latency(1, 5), Latency(64, 8)]


def sizes(kind: str = "gru", layers: int = 2, stride: int = 4) -> ModelOptions:
    return ModelOptions(LogMelOptions(N_MELS), kind=kind, layers=layers, hidden=6, channels=3, stride=stride)


def make(kind: str = "gru", layers: int = 2, stride: int = 4) -> Encoder:
    torch.manual_seed(7)
    encoder = Encoder(sizes(kind, layers, stride)).eval()
    for module in encoder.modules():
        if isinstance(module, PeepholeLSTM):
            nn.init.normal_(module.peephole)
    return encoder


def run(encoder: Encoder, frames: torch.Tensor, latency: Latency | None, lengths: list[int] | None = None):
    lengths = torch.tensor(lengths or [frames.shape[1]] * len(frames))
    with torch.inference_mode():
        outputs, out_lengths = encoder(frames, lengths, latency)
    return outputs, out_lengths.tolist()


@settings(max_examples=25)
@given(st.integers(0, 70), st.sampled_from(MODES), st.sampled_from(STRIDES))
def test_a_stride_of_frames_gives_one(t, latency, stride):
    outputs, lengths = run(make(stride=stride), torch.randn(1, t, N_MELS), latency)
    assert lengths == [-(-t // stride)]
    assert [y.shape for y in outputs] == [(1, -(-t // stride), 12)] * 2


@pytest.mark.parametrize("stride", STRIDES)
def test_subsampling_sees_its_field_only(stride):
    torch.manual_seed(0)
    layer, x = Subsampling(sizes(stride=stride)), torch.randn(1, 43, N_MELS)
    y = layer(x)
    assert y.shape == (1, (43 - 7) // stride + 1, 6) and layer(x[:, :RECEPTIVE_FIELD]).shape == (1, 1, 6)
    changed = x.clone()
    changed[:, stride * 3 + RECEPTIVE_FIELD :] += 1  # after the field of output 3
    changed[:, : stride * 3] += 1  # before it
    assert torch.equal(layer(changed)[:, 3], y[:, 3]) and not torch.equal(layer(changed)[:, [2, 4]], y[:, [2, 4]])


@settings(max_examples=25)
@given(st.integers(7, 450), st.integers(1, 20), st.sampled_from(STRIDES))
def test_subsampling_in_slices_is_that_of_the_whole(t, rows, stride):
    torch.manual_seed(0)
    layer, x = Subsampling(sizes(stride=stride)), torch.randn(rows, t, N_MELS)
    with torch.inference_mode():
        sliced = layer(x)
    torch.testing.assert_close(sliced, layer(x), atol=1e-6, rtol=0)  # with gradients: at once


@pytest.mark.parametrize("latency", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_batch_as_alone(kind, latency):
    encoder, lengths = make(kind), [57, 30, 1, 8]
    batch = torch.zeros(4, 57, N_MELS)
    for row, n in zip(batch, lengths):
        row[:n] = torch.randn(n, N_MELS)
    outputs, out_lengths = run(encoder, batch, latency, lengths)
    for i, (n, m) in enumerate(zip(lengths, out_lengths)):
        alone, _ = run(encoder, batch[i : i + 1, :n], latency)
        for together, single in zip(outputs, alone):
            torch.testing.assert_close(together[i : i + 1, :m], single, atol=1e-5, rtol=0)


def test_the_weights_of_one_stride_hear_the_same_at_the_frames_of_another():
    torch.manual_seed(0)
    four, x = Subsampling(sizes(stride=4)), torch.randn(2, 60, N_MELS)
    for stride in STRIDES:
        other = Subsampling(sizes(stride=stride))
        other.load_state_dict(four.state_dict())
        torch.testing.assert_close(other(x)[:, ::4], four(x)[:, ::stride][:, : len(other(x)[0, ::4])])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("latency", [Latency(4, 3), Latency(2, 6), Latency(5, 0)])
def test_the_stack_looks_no_further_than_the_look_ahead(kind, latency):
    """Three layers, and still nothing beyond chunk end + Nr reaches the chunk; the last frame inside does."""
    encoder, frames = make(kind, layers=3), torch.randn(1, 96, N_MELS)
    before = run(encoder, frames, latency)[0][-1]
    for chunk in range(0, 24 // latency.chunk - 1):
        end = (chunk + 1) * latency.chunk  # in encoder frames
        seen = 4 * (end + latency.ahead - 1) + RECEPTIVE_FIELD  # log-mel frames that the window sees
        if seen >= 96:
            break
        later = frames.clone()
        later[:, seen:] += 10 * torch.randn_like(later[:, seen:])
        after = run(encoder, later, latency)[0][-1]
        assert torch.equal(after[:, :end], before[:, :end])
        assert not torch.equal(after, before)
        later = frames.clone()
        later[:, seen - 1] += 10
        assert not torch.equal(run(encoder, later, latency)[0][-1][:, :end], before[:, :end])


def test_full_context_sees_everything():
    encoder, frames = make(), torch.randn(1, 96, N_MELS)
    before = run(encoder, frames, None)[0][-1]
    frames[:, -1] += 10
    assert not torch.equal(run(encoder, frames, None)[0][-1][:, 0], before[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_over_everything_is_full_context(kind):
    encoder, frames = make(kind), torch.randn(2, 50, N_MELS)
    full = run(encoder, frames, None, [50, 33])[0][-1]
    wide = run(encoder, frames, Latency(20, 16), [50, 33])[0][-1]
    torch.testing.assert_close(wide[1, :9], full[1, :9], atol=1e-6, rtol=0)
    torch.testing.assert_close(wide[0], full[0], atol=1e-6, rtol=0)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.sampled_from([Latency(4, 3), Latency(2, 0)]))
def test_windows_fed_in_any_portions(portions, latency):
    """What a live stream does: some windows at a time, every layer's state handed on."""
    encoder, n = make(), sum(portions)
    x = torch.randn(1, n * latency.chunk + latency.ahead, 6)
    windows = x.unfold(1, latency.chunk + latency.ahead, latency.chunk).transpose(2, 3)
    valid = torch.full((1, n), latency.chunk + latency.ahead)
    with torch.inference_mode():
        whole, last = encoder.run(windows, valid, latency.chunk, [None, None])
        states, pieces = [None, None], []
        for some in windows.split(portions, 1):
            y, states = encoder.run(some, valid[:, : some.shape[1]], latency.chunk, states)
            pieces.append(y[-1])
    torch.testing.assert_close(torch.cat(pieces, 1), whole[-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(states), torch.cat(last), atol=1e-5, rtol=0)


def test_dropout_only_while_training():
    encoder, frames = make(), torch.randn(1, 40, N_MELS)
    lengths = torch.tensor([40])
    assert torch.equal(encoder(frames, lengths)[0][-1], encoder(frames, lengths)[0][-1])
    encoder.train()
    assert not torch.equal(encoder(frames, lengths)[0][-1], encoder(frames, lengths)[0][-1])


@given(st.floats(1, 5_000), st.sampled_from(STRIDES))
def test_latency_of_milliseconds(milliseconds, stride):
    latency = Latency.of(milliseconds, sizes(stride=stride))
    assert latency.chunk >= 1 and latency.ahead >= 1
    assert abs(10 * stride * (latency.chunk + latency.ahead) - max(20 * stride, milliseconds)) <= 5 * stride + 1e-6


def test_latency_splits_into_three_eighths_and_the_rest():
    assert Latency.of(640, sizes()) == Latency(6, 10) and Latency.of(0, sizes()) == Latency(1, 1)
    assert Latency.of(320, sizes(stride=3)) == Latency(4, 7)
