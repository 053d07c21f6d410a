"""What the recogniser hears in the packaged speech: what `--phrase` chooses its thresholds on.

    python -m recipes.wake_words.heard     # after every change of the packaged acoustic model; takes two minutes

Of every encoder frame the likeliest phonemes and ln of their probabilities, an eighth of a nat a unit.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import asr
from asr.model.interface import Latency
from asr.model.streaming import Chunk, StreamingEncoder
from wakeword.spotter import HEARD, KEPT, LATENCY_MS, UNIT
from wakeword.train import negatives


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    model = asr.load().model
    encoder = StreamingEncoder(model, Latency.of(LATENCY_MS, model.options))
    clips = [c.samples for split in ("train", "held-out") for c in negatives.read(split) if c.text]
    symbols, values, lengths = [], [], []
    for samples in clips:
        [(posteriors, _)] = encoder.step([Chunk(model.frontend(samples), encoder.start(), last=True)])
        assert posteriors.phonemes is not None  # the packaged model has that head
        best = np.argsort(-posteriors.phonemes, axis=1)[:, :KEPT]
        symbols.append(best.astype(np.uint8))
        values.append(np.take_along_axis(posteriors.phonemes, best, 1))
        lengths.append(len(best))
    units = np.clip(np.round(-np.concatenate(values) / UNIT), 0, 255).astype(np.uint8)
    np.savez_compressed(HEARD, symbols=np.concatenate(symbols), units=units, lengths=np.array(lengths))
    print(f"{HEARD}: {sum(lengths) * model.options.frame_seconds / 60:.0f} min, {HEARD.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
