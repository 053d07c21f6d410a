"""Recurrent layers: state in and out, two directions, chunks with look-ahead."""

import pytest
import torch
from torch import nn

from asr.model.network.recurrent import GRU, KINDS, LatencyControlled, PeepholeLSTM, _Compiled, _Sequence, recurrent
from asr.native import training as native

torch.set_num_threads(1)


def flat(state) -> torch.Tensor:
    return torch.cat(state) if isinstance(state, tuple) else state


def with_peepholes(layer: nn.Module) -> nn.Module:
    """Peepholes start at zero: give them something to do."""
    for module in layer.modules():
        if isinstance(module, PeepholeLSTM):
            nn.init.normal_(module.peephole)
    return layer


def pair(kind: str, inputs: int = 5, hidden: int = 4) -> LatencyControlled:
    torch.manual_seed(3)
    return with_peepholes(LatencyControlled(kind, inputs, hidden))


@pytest.mark.parametrize("kind", KINDS)
def test_state_passed_on_equals_one_pass(kind):
    torch.manual_seed(0)
    layer, x = with_peepholes(recurrent(kind, 5, 4)), torch.randn(3, 11, 5)
    whole, last = layer(x)
    pieces, state = [], None
    for piece in x.split([4, 1, 6], 1):
        y, state = layer(piece, state)
        pieces.append(y)
    assert whole.shape == (3, 11, 4)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(flat(state), flat(last), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight_the_input_and_the_state(kind):
    torch.manual_seed(0)
    layer, x = recurrent(kind, 5, 4), torch.randn(2, 6, 5, requires_grad=True)
    h = torch.randn(1, 2, 4, requires_grad=True)
    state = h if kind == "gru" else (h, torch.randn(1, 2, 4))
    layer(x, state)[0][:, -1].square().sum().backward()
    assert x.grad[:, 0].abs().sum() > 0 and h.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())


def copied_lstm(own: PeepholeLSTM, inputs: int) -> nn.LSTM:
    """torch's LSTM with the same weights: it orders its gates alike and has a second bias."""
    lstm = nn.LSTM(inputs, own.hidden_size, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(own.input.weight)
        lstm.weight_hh_l0.copy_(own.hidden.weight)
        lstm.bias_ih_l0.copy_(own.input.bias)
        lstm.bias_hh_l0.zero_()
    return lstm


def test_without_peepholes_it_is_torchs_lstm():
    torch.manual_seed(0)
    own, x = PeepholeLSTM(5, 4), torch.randn(2, 9, 5)
    lstm = copied_lstm(own, 5)
    (y, state), (expected, expected_state) = own(x), lstm(x)
    torch.testing.assert_close(y, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(flat(state), flat(expected_state), atol=1e-6, rtol=0)


def test_peepholes_matter_and_the_output_gate_sees_the_new_cell():
    torch.manual_seed(0)
    own, x = PeepholeLSTM(3, 2), torch.randn(1, 1, 3)
    without = own(x)[0]
    with torch.no_grad():
        own.peephole[:2] = 5.0  # the cell is still zero: gates that see the old one don't move
    assert torch.equal(own(x)[0], without)
    with torch.no_grad():
        own.peephole[2] = 5.0
    assert not torch.allclose(own(x)[0], without)


def test_the_forget_gate_begins_open():
    assert (PeepholeLSTM(3, 2).input.bias[2:4] == 1).all()


def test_an_empty_piece_changes_no_peephole_state():
    layer = PeepholeLSTM(3, 2)
    _, state = layer(torch.randn(2, 4, 3))
    y, after = layer(torch.zeros(2, 0, 3), state)
    assert y.shape == (2, 0, 2) and torch.equal(flat(after), flat(state))


def test_unknown_kind():
    with pytest.raises(ValueError, match="no recurrent layer called 'rnn': choose one of gru, lstm, peephole"):
        recurrent("rnn", 5, 4)


def bidirectional(layer: LatencyControlled, kind: str) -> nn.Module:
    """torch's bidirectional layer with the same weights."""
    torchs = {"gru": nn.GRU, "lstm": nn.LSTM}[kind](5, 4, batch_first=True, bidirectional=True)
    weights = {k: v for k, v in layer.forwards.named_parameters()}
    weights |= {f"{k}_reverse": v for k, v in layer.backwards.named_parameters()}
    torchs.load_state_dict(weights)
    return torchs


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_one_window_over_all_is_the_bidirectional_layer(kind):
    layer, x = pair(kind), torch.randn(3, 10, 5)
    y, state = layer(x[:, None], torch.full((3, 1), 10), chunk=10)
    expected, last = bidirectional(layer, kind)(x)
    torch.testing.assert_close(y[:, 0], expected, atol=1e-6, rtol=0)
    forwards = last[:1] if kind == "gru" else tuple(s[:1] for s in last)
    torch.testing.assert_close(flat(state), flat(forwards), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_one_by_one(kind):
    """Each window by hand: forward state over the chunk only, backward layer from the window's end."""
    layer, x, chunk, ahead = pair(kind), torch.randn(2, 12, 5), 4, 2
    windows = nn.functional.pad(x, (0, 0, 0, ahead)).unfold(1, chunk + ahead, chunk).transpose(2, 3)
    valid = torch.tensor([[6, 6, 4], [6, 5, 1]])  # the second one is 9 frames long
    y, state = layer(windows, valid, chunk)
    for b in range(2):
        carried = None
        for i in range(3):
            window, n = windows[b : b + 1, i], int(valid[b, i])
            done, after = layer.forwards(window[:, :chunk], carried)
            beyond, _ = layer.forwards(window[:, chunk:], after)
            backwards = layer.backwards(window[:, :n].flip(1))[0].flip(1)
            expected = torch.cat([torch.cat([done, beyond], 1)[:, :n], backwards], -1)
            torch.testing.assert_close(y[b : b + 1, i, :n], expected, atol=1e-6, rtol=0)
            carried = after
        torch.testing.assert_close(flat(state)[:, b : b + 1], flat(carried), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_chunk_by_chunk_with_the_state(kind):
    layer, windows = pair(kind), torch.randn(2, 5, 6, 5)
    valid = torch.full((2, 5), 6)
    whole, last = layer(windows, valid, 4)
    pieces, state = [], None
    for some in windows.split([2, 1, 2], 1):
        y, state = layer(some, valid[:, : some.shape[1]], 4, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(flat(state), flat(last), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_beyond_the_valid_frames_is_not_seen(kind):
    layer, windows = pair(kind), torch.randn(1, 1, 8, 5)
    valid = torch.tensor([[5]])
    y, _ = layer(windows, valid, 8)
    windows[:, :, 5:] += 100
    assert torch.equal(layer(windows, valid, 8)[0][:, :, :5], y[:, :, :5])


def test_gradients_flow_through_windows():
    layer, windows = pair("gru"), torch.randn(1, 3, 6, 5, requires_grad=True)
    layer(windows, torch.full((1, 3), 6), 4)[0][:, 2, :4].square().sum().backward()
    assert windows.grad[0, 0, :4].abs().sum() > 0  # through the forward state
    assert windows.grad[0, 0, 4:].abs().sum() == 0  # look-ahead leaves no trace in it
    assert windows.grad[0, 2, 4:].abs().sum() > 0  # through the backward layer


def gradients(x: torch.Tensor, h: torch.Tensor, layer: nn.GRU, y: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(9)
    (y * torch.randn(y.shape)).sum().backward()
    found = [x.grad, h.grad, *(p.grad for p in layer.parameters())]
    x.grad = h.grad = None
    layer.zero_grad()
    return found


def test_the_gru_pass_for_training_has_torchs_results_and_gradients():
    torch.manual_seed(0)
    layer = GRU(5, 4)
    x, h = torch.randn(3, 9, 5, requires_grad=True), torch.randn(1, 3, 4, requires_grad=True)
    expected, last = nn.GRU.forward(layer, x, h)
    wanted = gradients(x, h, layer, expected)
    y = _Sequence.apply(x, h[0], *layer.parameters(), torch.float32)  # in fp32 the two can be compared closely
    torch.testing.assert_close(y, expected, atol=1e-6, rtol=0)
    for found, grad in zip(gradients(x, h, layer, y), wanted):
        torch.testing.assert_close(found, grad, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = layer(x, h)
    torch.testing.assert_close(y, expected, atol=0.03, rtol=0)
    assert y.dtype == torch.float32 and torch.equal(state[0], y[:, -1])
    for found, grad in zip(gradients(x, h, layer, y), wanted):
        torch.testing.assert_close(found, grad, atol=0.02 * float(grad.abs().max()) + 0.01, rtol=0.05)


@pytest.mark.skipif(not (native and native.HAS_BF16), reason="needs a processor that multiplies bf16, and a compiler")
@pytest.mark.parametrize("batch", [1, 16, 37, 50])
def test_compiled_a_training_pass_has_the_same_results(batch):
    torch.manual_seed(batch)
    layer, x = GRU(7, 64), torch.randn(batch, 9, 7, requires_grad=True)
    h = torch.randn(1, batch, 64, requires_grad=True)
    expected, _ = nn.GRU.forward(layer, x, h)
    y = _Compiled.apply(x, h[0], *layer.parameters(), torch.bfloat16)
    torch.testing.assert_close(y, expected, atol=0.02, rtol=0)
    for found, grad in zip(gradients(x, h, layer, y), gradients(x, h, layer, expected)):
        assert (found - grad).norm() < 0.01 * grad.norm()
