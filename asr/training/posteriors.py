"""What an acoustic model says of a corpus: of each utterance, and on average, by which the search divides."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from asr.model.interface import AcousticModel, Latency
from asr.model.network.ctc import CTCModel
from asr.model.streaming import Posteriors, encode
from asr.training.data import Utterance, read_samples

BATCH = 16  # utterances of like length


def all_posteriors(
    model: AcousticModel, utterances: list[Utterance], latency: Latency | None = None
) -> list[Posteriors]:
    """Log-probabilities of letters and phonemes of each. Raises asr.training.data.ManifestError."""
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration)
    found: dict[int, Posteriors] = {}
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        frames = [model.frontend(read_samples(utterances[i])) for i in some]
        found |= dict(zip(some, encode(model, frames, latency)))
    return [found[i] for i in range(len(utterances))]


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
