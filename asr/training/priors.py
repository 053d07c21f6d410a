"""What a trained model expects before it hears anything: its search divides by that."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from asr.model.network.ctc import CTCModel
from asr.training.data import Utterance


@torch.inference_mode()
def log_priors(model: CTCModel, clips: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """ln of the mean output of each head over training speech, clips of samples (n,) at 16 kHz."""
    device, sums = model.mean.device, {}
    for samples in clips:
        frames = torch.from_numpy(model.frontend(samples))[None].to(device)
        letters, phonemes, _ = model.both(frames, torch.tensor([frames.shape[1]], device=device))
        for name, head in (("letters", letters), ("phonemes", phonemes)):
            if head is not None:
                sums[name] = sums.get(name, 0.0) + head[0].exp().sum(0).cpu().numpy()
    return {name: [round(float(x), 4) for x in np.log(s / s.sum())] for name, s in sums.items()}


def spread(utterances: list[Utterance], count: int) -> list[int]:
    """The numbers of ``count`` utterances at random, every corpus equally likely."""
    rng = np.random.default_rng(0)
    sizes = {c: sum(u.corpus == c for u in utterances) for c in {u.corpus for u in utterances}}
    chance = np.array([1 / sizes[u.corpus] for u in utterances])
    return rng.choice(len(utterances), count, p=chance / chance.sum()).tolist()
