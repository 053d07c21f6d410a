"""Muon: near-orthogonal updates for each gate of the recurrent matrices, AdamW for the rest; what products are in."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from asr.training import precision
from asr.training.fit import Muon, orthogonal

torch.set_num_threads(1)


def test_every_direction_gets_about_the_same_size():
    torch.manual_seed(0)
    for shape in ((3, 24, 24), (2, 16, 40), (2, 40, 16)):
        u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
        strengths = torch.logspace(0, -1.5, min(shape[1:]))
        y = orthogonal(1e-4 * u @ torch.diag(strengths) @ v)
        sizes = torch.linalg.svdvals(y)
        assert y.shape == shape and y.dtype == torch.float32 and 0.5 < sizes.min() and sizes.max() < 1.35
        cosine = (y * (u @ v)).sum((1, 2)) / (y.norm(dim=(1, 2)) * (u @ v).norm(dim=(1, 2)))
        assert (cosine > 0.95).all()


def test_a_gradient_of_zero_is_no_direction():
    assert (orthogonal(torch.zeros(3, 8, 8)) == 0).all()


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.ModuleList([nn.GRU(6, 8), nn.LSTM(8, 4), nn.Linear(4, 3)])


def test_all_but_the_recurrent_matrices_follow_adamw():
    ours, theirs = network(), network()
    muon = Muon(ours, lr=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    for step in range(4):
        for a, b in zip(ours.parameters(), theirs.parameters()):
            a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(step))
            b.grad = a.grad.clone()
        muon.step(), adamw.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
        if a.dim() == 2 and not name.startswith("2."):
            assert not torch.allclose(a, b, atol=1e-4)
        else:
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_gates_are_taken_one_by_one_and_the_size_matches_adamws():
    gru = nn.GRU(8, 8)
    before = gru.weight_hh_l0.detach().clone()
    for p in gru.parameters():
        p.grad = torch.randn_like(p)
    gru.weight_hh_l0.grad[:8] *= 1_000  # one gate's gradient is far larger: its update is not
    gru.weight_hh_l0.grad[8:16] = 0  # and one has none
    Muon(gru, lr=0.01, weight_decay=0.0).step()
    reset, update, new = ((gru.weight_hh_l0.detach() - before) / 0.01).chunk(3)
    sizes = [float(g.square().mean().sqrt()) for g in (reset, new)]
    assert sizes == pytest.approx([0.2, 0.2], rel=0.35)  # AdamW's is 0.2 to 0.4 in practice (Liu et al. 2025)
    assert (update == 0).all() and (reset * gru.weight_hh_l0.grad[:8]).sum() < 0  # downhill


@pytest.mark.parametrize("native", [None, SimpleNamespace(HAS_BF16=0), SimpleNamespace(HAS_BF16=1)])
def test_products_are_in_bf16_where_the_processor_multiplies_it(native, monkeypatch):
    monkeypatch.setattr(precision, "native", native)
    fast = bool(native and native.HAS_BF16)
    assert (
        precision.fast_dtype() == (torch.bfloat16 if fast else torch.float32)
        and precision.fast_dtype("cuda") == torch.bfloat16
    )
    with precision.autocast():
        assert torch.is_autocast_enabled("cpu") == fast
