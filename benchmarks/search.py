"""Our searches beside flashlight-text, ctc-beam-decoder and pyctcdecode, on the same log-probabilities.

    python -m benchmarks.search DEV.jsonl --beams 32 64

writes search.csv and .md. Lexicon, language model and weights are the packaged model's. flashlight-text searches the
lexicon by the phonemes, the two others know letters only, so they stand beside our search in letters. The peers get
a virtual environment of their own, once; CPU time is that of the searches, without loading.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asr.language import arpa
from asr.language.ngram_file import load as load_ngram
from asr.model.checkpoint import MODELS
from asr.model.onnx import load_model
from asr.search.base import LexiconOptions, SearchOptions
from asr.search.options import Weights, weights_for
from asr.training.data import Utterance, read_manifest
from asr.training.posteriors import all_posteriors
from benchmarks import measure, tables
from benchmarks.peers import ENVIRONMENT, install
from benchmarks.scores import count, summary
from benchmarks.searches import PACKAGES


def main() -> int:
    options = parser().parse_args()
    utterances, machine = read_manifest(options.manifest)[:: options.every], measure.machine()
    with tempfile.TemporaryDirectory(prefix="asr-benchmark-") as name:
        folder, python = Path(name), str(options.environment / "bin" / "python")
        if problem := install(options.environment, PACKAGES):
            print(problem, file=sys.stderr)
            return 1
        lay_out(utterances, options.model, folder)
        done = measure.run([python, "-m", "benchmarks.searches", name, *map(str, options.beams)])
        if done.status:
            print(done.failure, file=sys.stderr)
            return 1
        found = json.loads((folder / "results.json").read_text())
    report(found, utterances, machine, options)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("manifest", type=Path, help="JSON lines with audio_filepath, duration, text")
    top.add_argument("--model", default="english", help="packaged model or checkpoint")
    top.add_argument("--beams", type=int, nargs="+", default=[32, 64], metavar="N")
    top.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    top.add_argument("--environment", type=Path, metavar="DIR", default=ENVIRONMENT.with_name("asr-searches"),
                     help="virtual environment of the peers: made, and filled where it lacks a package")  # fmt: skip
    top.add_argument("--out", type=Path, default=measure.ROOT / "benchmarks" / "results", metavar="DIR")
    return top


def lay_out(utterances: list[Utterance], model: str, folder: Path) -> None:
    """For benchmarks.searches: log-probabilities with the priors divided out, options, the language model as ARPA."""
    acoustic, card = load_model(model)
    posteriors = all_posteriors(acoustic, utterances)
    weights = {search: weights_for(search, Weights(), card).given for search in ("lexicon", "letters")}
    found: dict[str, Any] = {"phonemes": acoustic.options.phonemes, "seconds": [u.duration for u in utterances]}
    for i, pair in enumerate(posteriors):
        for what, search, rows in zip(("letters", "phonemes"), ("letters", "lexicon"), pair):
            assert rows is not None  # the lexicon is searched by the phonemes
            rows = rows - weights[search]["prior"] * np.array(card["log_priors"][what], np.float32)
            found[f"{what}{i}"] = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)
    np.savez(folder / "heads.npz", **found)
    kinds = {"lexicon": LexiconOptions, "letters": SearchOptions}
    options = {s: asdict(kinds[s](lm_weight=w["lm"], word_bonus=w["word"])) for s, w in weights.items()}
    (folder / "options.json").write_text(json.dumps(options))
    arpa.write(load_ngram(MODELS / "english-lm.npz"), folder / "lm.arpa")


def report(found: dict, utterances: list[Utterance], machine: str, options: argparse.Namespace) -> None:
    seconds, references = sum(u.duration for u in utterances), [u.text for u in utterances]
    table = []
    for row in found["rows"]:
        cost = {"CPU ms per audio s": 1000 * row["CPU s"] / seconds, "score": float(np.mean(row["scores"]))}
        table.append({k: row[k] for k in ("search", "beam")} | cost | summary("WER", *count(references, row["texts"])))
    shown = tables.markdown([tables.with_intervals(row) for row in table])
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    page = (
        f"{len(utterances)} clips, {seconds / 60:.1f} minutes, of {options.manifest.name}; one thread. {machine}. "
        "Score: the mean over clips of what our search maximises, ln probability by CTC and weighted language model; "
        f"higher is better. WER in per cent with 95 % bootstrap intervals. {versions}.\n\n{shown}"
    )
    tables.write(options.out, "search", table, page)


if __name__ == "__main__":
    sys.exit(main())
