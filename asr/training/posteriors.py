"""What an acoustic model says of every utterance of a corpus: whole clips, without voice activity detection."""

from __future__ import annotations

from asr.model.interface import AcousticModel, Latency
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
