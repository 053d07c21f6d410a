"""benchmarks.growth: hotwords, the beam, the size of the language model, on the same log-probabilities.

python -m benchmarks.growth_search JOB RESULT is one search, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr import audio
from asr.language import kneser_ney, ngram_file
from asr.model.onnx import load_model
from asr.recognizer import RecognizerOptions, load
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.hotwords import Hotword
from asr.search.lexicon import packaged
from asr.text_files import read_lines, spoken
from benchmarks import measure
from benchmarks.scores import count, summary

BEAM = 64  # where it does not grow
LETTERS = 6  # of a hotword, at least: who boosts "a" writes it everywhere
VOCABULARY = 20_000  # words of each language model


def by_hotwords(numbers: Sequence[int], folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    """Words from all over the lexicon, which mostly are not said."""
    clips = lay_out(folder, options)
    words = [word for word in packaged() if len(word) >= LETTERS]
    for number in numbers:
        chosen = [words[i] for i in np.linspace(0, len(words) - 1, number).astype(int)]
        yield {"hotwords": number} | search(folder, clips, options, hotwords=chosen)


def by_beam(beams: Sequence[int], folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    clips = lay_out(folder, options)
    for beam in beams:
        yield {"beam": beam} | search(folder, clips, options, beam=beam)


def by_language_model(sizes: Sequence[int], folder: Path, options: argparse.Namespace) -> Iterator[dict]:
    """3-grams trained on one text, pruned to so many; without the recurrent model's second opinion."""
    clips, path = lay_out(folder, options), folder / "lm.npz"
    lines = spoken(itertools.islice(itertools.chain.from_iterable(map(read_lines, options.text)), options.lines))
    for size in sizes:
        model = kneser_ney.train(lines, kneser_ney.TrainingOptions(max_words=VOCABULARY, max_ngrams=size))
        ngram_file.save(model, path)
        held = sum(model.sizes)
        more = {"n-grams": held, "file MB": path.stat().st_size / 1e6}
        yield more | search(folder, clips, options, language=str(path))


def lay_out(folder: Path, options: argparse.Namespace) -> list[dict]:
    """What the model says of each piece of speech, into heads.npz -> the clips."""
    clips = measure.rows(options.manifest)[:: options.every]
    recognizer, of = load(options.model, RecognizerOptions(DecoderOptions(beam=1)), threads=1), []
    arrays: dict[str, Any] = {}
    for clip, row in enumerate(clips):
        for _, (letters, phonemes) in recognizer.posteriors(audio.blocks(row["audio_filepath"])):
            arrays[f"letters{len(of)}"] = letters
            if phonemes is not None:
                arrays[f"phonemes{len(of)}"] = phonemes
            of.append(clip)
    np.savez(folder / "heads.npz", clip=np.array(of), **arrays)
    return clips


def search(folder: Path, clips: list[dict], options: argparse.Namespace, beam: int = BEAM, **expected) -> dict:
    """All pieces searched by a new process -> the columns of its row."""
    job, result = folder / "job.json", folder / "result.json"
    job.write_text(json.dumps({"heads": str(folder / "heads.npz"), "model": options.model, "beam": beam} | expected))
    run = measure.run([sys.executable, "-m", "benchmarks.growth_search", str(job), str(result)])
    if run.status:
        return {"failure": run.failure}
    found, seconds = json.loads(result.read_text()), sum(row["duration"] for row in clips)
    said = [" ".join(text for clip, text in found["texts"] if clip == i) for i in range(len(clips))]
    return {
        "search, CPU ms per audio s": 1e3 * found["search"] / seconds,
        "loading, CPU s": found["load"],
        "peak MB": found["peak"],
        **summary("WER", *count([row["text"] for row in clips], said)),
        "failure": "",
    }


def work(job: dict) -> dict:
    """-> CPU seconds of loading and of the searches, (clip, text) of each piece, MB of memory."""
    acoustic, card = load_model(job["model"], threads=1)
    hotwords = tuple(Hotword(word) for word in job.get("hotwords", ()))
    wanted = DecoderOptions(beam=job["beam"], hotwords=hotwords, language=job.get("language"))
    began, stored = time.process_time(), dict(np.load(job["heads"]))
    decoder = Decoder(acoustic, card, wanted)
    loaded, texts, spent = time.process_time() - began, [], 0.0
    posteriors = [(stored[f"letters{i}"], stored.get(f"phonemes{i}")) for i in range(len(stored["clip"]))]
    decoder(*posteriors[0])  # warms up
    for clip, pair in zip(stored["clip"].tolist(), posteriors):
        began = time.process_time()
        best = decoder(*pair)[0]
        spent += time.process_time() - began
        texts.append((clip, best.text))
    return {"load": loaded, "search": spent, "texts": texts, "peak": measure.peak()}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(work(json.loads(Path(sys.argv[1]).read_text()))))
