"""What products are computed in while a model learns."""

from __future__ import annotations

import torch

from asr.native import training as native


def fast_dtype(device: str = "cpu") -> torch.dtype:
    """What products are computed in: bf16 on a GPU and on a processor that multiplies it, else float32.

    A processor that does not multiply bf16 takes up to a hundred times as long for it.
    """
    return torch.bfloat16 if device != "cpu" or native and native.HAS_BF16 else torch.float32


def autocast(device: str = "cpu") -> torch.autocast:
    """Let a model's products be computed in bf16, where that is fast."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)
