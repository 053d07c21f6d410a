"""Measure a speech detector on speech and noise it never heard; needs no torch.

    python -m recipes.vad.evaluate DATA [--weights FILE | --peer silero|webrtc] [--on P --off P]

Speech: DATA/speech/dev.jsonl, 1 to 6 s apart, alone, with held-out noise at 10 and 0 dB, by telephone, across a room,
and very quiet; else levels are -40 to -6 dBFS. Reference: energy labels of the clips before mixing (mixing.py).
Noise: the held-out files and made sounds, ten minutes of each kind or what there is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.audio.vad import PACKAGED, STEP, STEPS_PER_SECOND, Segmenter, SegmenterOptions, Span, SpeechDetector
from asr.training.augment import telephone
from asr.training.sounds import MADE
from recipes.english.calibration import area_under_roc
from recipes.vad import peers
from recipes.vad.mixing import STEP_SAMPLES, noise_files, read, rms, speech_steps
from wakeword.evaluate.conditions import across_a_room, quiet

Probabilities = Callable[[np.ndarray], np.ndarray]  # samples -> one value each 40 ms
ELSEWHERE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "telephone": telephone,
    "3 m away": lambda x: across_a_room(x, np.random.default_rng(0)),
    "-60 dBFS": quiet,
}


def ours(weights: Path) -> Probabilities:
    detector, front_end = SpeechDetector.load(weights), LogMel()
    return lambda samples: detector(front_end(samples))


def speech_streams(data: Path, snr: float | None, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every dev clip once, sixteen a stream -> [(samples, labels)]; ``snr`` in dB, None: faint hiss only."""
    rng = np.random.default_rng(seed)
    rows = [json.loads(line) for line in (data / "speech/dev.jsonl").open(encoding="utf-8")]
    rng.shuffle(rows)
    noise = [read(path) for path in noise_files(data, held_out=True)]
    return [_stream(rng, data / "speech", rows[i : i + 16], noise, snr) for i in range(0, len(rows), 16)]


def _stream(
    rng: np.random.Generator, folder: Path, rows: list[dict], noise: list[np.ndarray], snr: float | None
) -> tuple[np.ndarray, np.ndarray]:
    parts, labels = [], []
    for row in rows:
        clip = read(folder / row["audio_filepath"])
        marks = speech_steps(clip)
        gap = int(rng.uniform(1, 6) * STEPS_PER_SECOND)
        clip = np.pad(clip, (0, len(marks) * STEP_SAMPLES - len(clip)))
        clip = clip / rms(clip[np.repeat(marks == 1, STEP_SAMPLES)])
        parts += [np.zeros(gap * STEP_SAMPLES), clip]
        labels += [np.zeros(gap, np.int8), marks]
        if snr is not None:
            sound = np.resize(noise[rng.integers(len(noise))], len(parts[-1]) + len(parts[-2]))
            sound = sound / rms(sound) * 10 ** (-snr / 20)
            parts[-2:] = [parts[-2] + sound[: len(parts[-2])], clip + sound[len(parts[-2]) :]]
        level = 10 ** (rng.uniform(-40, -6) / 20) / np.abs(np.concatenate(parts[-2:])).max()
        parts[-2:] = [part * level for part in parts[-2:]]
    samples = np.concatenate(parts)
    samples += 1e-4 * rng.standard_normal(len(samples))
    return samples.astype(np.float32), np.concatenate(labels)


def noise_streams(data: Path, minutes: float = 10, seed: int = 1) -> dict[str, np.ndarray]:
    """Kind -> samples without speech: digital silence, made sounds and the held-out recordings."""
    rng = np.random.default_rng(seed)
    streams = {"digital silence": np.zeros(int(60 * minutes * SAMPLE_RATE))}
    for name, make in MADE.items():
        pieces = [make(rng, 20 * SAMPLE_RATE) for _ in range(int(3 * minutes))]
        levels = 10 ** (rng.uniform(-40, -3, len(pieces)) / 20)
        streams[name] = np.concatenate([level * p / np.abs(p).max() for level, p in zip(levels, pieces)])
    kinds: dict[str, list[np.ndarray]] = {}
    for path in noise_files(data, held_out=True):
        kind = path.parent.name if path.parent.name != "esc10" else path.stem.split("_-_")[1].split("-")[0]
        kinds.setdefault(kind, []).append(read(path))
    streams |= {kind: np.concatenate(parts) for kind, parts in kinds.items()}
    return {kind: samples.astype(np.float32) for kind, samples in streams.items()}


def inside(segments: list[Span], steps: int) -> np.ndarray:
    """Which steps lie in a segment, (steps,) bool."""
    covered = np.zeros(steps, bool)
    for segment in segments:
        covered[segment.start // STEP : segment.end // STEP] = True
    return covered


def segments_of(p: np.ndarray, options: SegmenterOptions) -> list[Span]:
    segmenter = Segmenter(options)
    return [*segmenter.feed(p), *segmenter.flush()]


def main() -> None:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, default=PACKAGED)
    parser.add_argument("--peer", choices=sorted(peers.PEERS), help="measure another detector instead")
    parser.add_argument("--on", type=float, default=SegmenterOptions.on)
    parser.add_argument("--off", type=float, default=SegmenterOptions.off)
    options = parser.parse_args()

    probabilities = peers.PEERS[options.peer]() if options.peer else ours(options.weights)
    settings = SegmenterOptions(on=options.on, off=options.off)
    cpu = audio = 0.0
    for name in ("clean", "10 dB", "0 dB", *ELSEWHERE):
        streams = speech_streams(options.data, float(name[:-3]) if name.endswith(" dB") else None)
        if change := ELSEWHERE.get(name):
            streams = [(change(samples).astype(np.float32), labels) for samples, labels in streams]
        began = time.process_time()
        scored = [(probabilities(samples), labels) for samples, labels in streams]
        cpu, audio = cpu + time.process_time() - began, audio + sum(len(s) for s, _ in streams) / SAMPLE_RATE
        labels = np.concatenate([labels for _, labels in scored])
        covered = np.concatenate([inside(segments_of(p, settings), len(y)) for p, y in scored])
        auc = area_under_roc(np.concatenate([p[: len(y)] for p, y in scored]), labels == 1)
        lost, kept = 1 - covered[labels == 1].mean(), covered[labels == 0].mean()
        print(f"speech {name:9} AUC {auc:.4f}  speech lost {lost:6.2%}  pauses kept {kept:6.1%}")
    print(f"CPU s a second of audio {cpu / audio:.5f}")
    total = seconds = 0.0
    for kind, samples in noise_streams(options.data).items():
        steps = len(samples) // STEP_SAMPLES
        false = inside(segments_of(probabilities(samples), settings), steps).sum() / STEPS_PER_SECOND
        total, seconds = total + false, seconds + steps / STEPS_PER_SECOND
        share = false / steps * STEPS_PER_SECOND
        print(f"noise {kind:16} {len(samples) / SAMPLE_RATE / 60:5.1f} min  taken for speech {share:6.1%}")
    print(f"noise, all: {3600 * total / seconds:.0f} s an hour taken for speech")


if __name__ == "__main__":
    main()
