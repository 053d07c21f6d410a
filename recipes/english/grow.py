"""Grow a trained model into a wider and deeper one, whose training begins where the small one's ended.

python -m recipes.english.grow english GROWN.safetensors --layers 4 --hidden 384

Every unit keeps its weights and hears no new unit at first, so the small model goes on working inside the large one
(Net2Net, Chen et al. 2016). New units and new layers, which come on top, begin at random.
`asr train --start-from GROWN.safetensors --config recipes/english/grown.toml` goes on from there.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from asr.attention.joint import load_joint
from asr.model.network.ctc import CTCModel, save_model

NEW = 0.3  # new units begin with their random weights times this


def grow(small: CTCModel, layers: int, hidden: int) -> CTCModel:
    """Return a model of so many layers of so many units, which begins with what ``small`` knows.

    The heads of a deeper model read other layers: that of the letters begins anew, that of the phonemes keeps what it
    read in the small model's last layer. Raises ValueError where the model would shrink.
    """
    old = small.options
    if layers < old.layers or hidden < old.hidden:
        raise ValueError(f"a model of {old.layers} layers of {old.hidden} grows, it does not shrink")
    torch.manual_seed(1)
    large = CTCModel(replace(old, layers=layers, hidden=hidden))
    known = small.state_dict()
    if layers > old.layers:
        known |= {"head.weight": torch.zeros(0, 2 * old.hidden)}
        if old.phonemes:
            top, further = known["phoneme_head.weight"][:, -2 * old.hidden :], len(large.options.read[1]) - 1
            known["phoneme_head.weight"] = torch.cat([top] + further * [torch.zeros_like(top)], 1)
    target = large.state_dict()
    for name, value in known.items():
        target[name] = placed(name, value, target[name], old.hidden, hidden)
    large.load_state_dict(target)
    return large


def placed(name: str, small: Tensor, large: Tensor, old: int, new: int) -> Tensor:
    """A tensor as large as ``large`` with ``small`` inside; old, new: units of a layer's direction."""
    if small.shape == large.shape:
        return small
    if "norms" in name:  # the new units are nearly silent, which makes the deviation over all units smaller
        gain = name.endswith("weight")
        out = torch.full_like(large, float(gain))
        return _in_columns(out[None], small[None] * ((old / new) ** 0.5 if gain else 1.0), old, new)[0]
    out = NEW * large
    if "wards." in name:  # a recurrent layer: its gates one under the other
        for part, rows in zip(small.split(old), out.split(new)):
            rows[:old] = 0
            _in_columns(rows, part, old, new) if small.ndim == 2 else rows[:old].copy_(part)
        return out
    if "subsampling" in name:
        out[: len(small)] = small
        return out
    out[: len(small)] = 0
    return _in_columns(out, small, old, new)


def _in_columns(out: Tensor, small: Tensor, old: int, new: int) -> Tensor:
    """Put small (R, k old) into the first rows of out (., k new), each group of old columns at its group's begin."""
    for there, here in zip(out[: len(small)].split(new, 1), small.split(old, 1)):
        there[:, :old] = here
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small")
    parser.add_argument("large", type=Path)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--hidden", type=int, required=True, help="units of each direction")
    options = parser.parse_args()
    large = grow(load_joint(options.small)[0], options.layers, options.hidden)
    save_model(large, options.large, {"name": options.large.stem, "grown from": options.small})
    print(f"{options.large}: {sum(p.numel() for p in large.parameters()) / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
