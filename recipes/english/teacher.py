"""Write what the encoder of Moonshine tiny makes of training speech, for `asr train --teacher OUT`.

python -m recipes.english.teacher OUT TRAIN.jsonl ...

pip install moonshine-voice==0.0.73 brings the model (MIT). Started again it goes on with what is new in the manifests.
A second of speech costs 9 ms of a core and 12 kB.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error
from asr.files import atomic_write_bytes
from asr.training.corpora import read
from asr.training.data import Utterance, read_samples
from asr.training.run import spread
from asr.training.teacher import FRAMES, INDEX, as_bytes

HOP, CENTRE, LEAST = 384, 447, 1024  # samples: of the teacher's convolutions, of its first frame, and what it can hear
MEASURED = 200  # utterances that give the mean and the deviation of each number of a frame
SAVED = 500  # utterances after which the index is written


class Moonshine:
    """Moonshine tiny's encoder (Jeffries et al. 2024): samples in, frames of 24 ms out."""

    def __init__(self) -> None:
        package = find_spec("moonshine_voice")
        if not package or not package.origin:
            raise SystemExit("Moonshine is missing: pip install moonshine-voice==0.0.73")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = Path(package.origin).parent / "assets/tiny-en/encoder_model.ort"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 at 16 kHz -> (T, size) float32."""
        samples = np.pad(samples, (0, max(0, LEAST - len(samples))))[None]
        mask = np.ones(samples.shape, np.int64)
        return self._session.run(None, {"input_values": samples, "attention_mask": mask})[0][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("speech", type=Path, nargs="+", help="manifests, or whatever else asr train reads")
    options = parser.parse_args()
    utterances, encode = [u for path in options.speech for u in read(path)], Moonshine()
    options.out.mkdir(parents=True, exist_ok=True)
    index_path = options.out / INDEX
    index = json.loads(index_path.read_text()) if index_path.is_file() else start(utterances, encode)
    mean, deviation = (np.array(index[key], np.float32) for key in ("mean", "deviation"))
    known, total = index["utterances"], sum(count for _, count in index["utterances"].values())
    new = list({u.name: u for u in utterances if u.name not in known}.values())
    with (options.out / FRAMES).open("r+b" if known else "wb") as out:
        out.truncate(total * index["size"])  # what a killed run wrote after its last index
        out.seek(0, 2)
        for number, u in enumerate(new, start=1):
            try:
                frames = as_bytes((encode(read_samples(u)) - mean) / deviation)
            except Error as error:
                print(error)
                continue
            out.write(frames.tobytes())
            known[u.name] = (total, len(frames))
            total += len(frames)
            if number % SAVED == 0 or number == len(new):
                out.flush()
                atomic_write_bytes(index_path, json.dumps(index).encode())
                print(f"{number} of {len(new)}, {total * HOP / SAMPLE_RATE / 3600:.1f} h", flush=True)


def start(utterances: list[Utterance], encode: Moonshine) -> dict:
    """An index without utterances: the teacher's geometry, and how its frames are made standard."""
    frames = [encode(read_samples(utterances[i])) for i in spread(utterances, min(MEASURED, len(utterances)))]
    some = np.concatenate(frames)
    mean, deviation = some.mean(0), some.std(0)
    return {
        "hop": HOP,
        "centre": CENTRE,
        "size": some.shape[1],
        "mean": mean.tolist(),
        "deviation": deviation.tolist(),
        "utterances": {},
    }


if __name__ == "__main__":
    main()
