"""`wakeword train`: from a phrase to a detector's file."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from asr.audio.features import SAMPLE_RATE
from wakeword import phrase as phrases
from wakeword import voices
from wakeword.detector import DetectorOptions
from wakeword.phonemes import FIRST_STEP_FRAMES, NEUTRAL, STEP_FRAMES, Fusion, FusionOptions, PhonemeModel
from wakeword.phrase import ways
from wakeword.scoring import wilson
from wakeword.synthesis import HARDER, Job, Spoken, said_anew, speak, trim
from wakeword.train import TriggerModel, TriggerOptions, negatives
from wakeword.train.examples import Sounds
from wakeword.train.negatives import near_misses
from wakeword.train.training import (
    PRETRAINED_TRUNK,
    TrainOptions,
    forget,
    measure_bands,
    save_detector,
    start_from,
    train,
)
from wakeword.train.validation import Phonemes, Validation, ValidationSet, heard_at_ends, hold_out

Report = Callable[[str], None]
MANY = 1.0  # h
PEOPLE = 3.0  # times what is told is missed of real people: geometric mean of three words (recipes/wake_words)
ROBOTS = "espeak", "festival"  # voices of formants and of diphones


@dataclass(frozen=True)
class BuildOptions:
    voices: tuple[str, ...] = ()  # names of synthesisers; none: all that are installed
    clips: int = 1500  # times that the phrase is spoken
    near_misses: int = 500  # ... and what sounds like it
    sentences: int = 300  # read by the fast voices, so that a synthetic voice does not give the phrase away
    held_out: int = 360  # mixes by held-out voices, that choose the checkpoint
    positives: tuple[Path, ...] = ()  # the user's own recordings of the phrase
    negatives: tuple[Path, ...] = ()  # ... and of anything else: folders or manifests
    pronounce: Mapping[str, str] = field(default_factory=dict)  # word of the phrase: how it is spelt for the voices
    model: TriggerOptions = TriggerOptions()
    train: TrainOptions = TrainOptions()


def build(phrase: str, output: Path, options: BuildOptions, report: Report) -> Validation:
    """Train a detector of ``phrase`` and write it to ``output``; the work is kept beside it until it is done.

    Raises phrases.PhraseError, voices.VoiceError, negatives.NegativesError, asr.training.fit.TrainingError, OSError.
    """
    began, phrase = time.monotonic(), phrases.check(phrase)
    if doubt := phrases.warning(phrase):
        report(doubt)
    written = " ".join(options.pronounce.get(word, word) for word in phrase.split())
    shown = " or ".join(" ".join(way) for way in ways(written)[:3])
    report(f'"{phrase}" is said as {shown}; if it is not, spell it by its sound: --pronounce WORD=SPELLING')
    names = voices.chosen(options.voices)
    folder = output.with_name(f".{phrases.slug(phrase)}.training")
    folder.mkdir(parents=True, exist_ok=True)
    own = [clip for path in options.positives for clip in negatives.recordings(path, report)]  # before hours are spent
    given = [clip for path in options.negatives for clip in negatives.recordings(path, report)]
    given, kept = _kept(negatives.without(given, phrase))
    everything = [negatives.read(split) for split in ("train", "held-out")]
    real, apart = (negatives.without(clips, phrase) for clips in everything)
    if common := sum(map(len, everything)) - len(real) - len(apart):
        report(
            f'"{phrase}" is said in {common} of {sum(map(len, everything))} sentences of speech: expect false alarms'
        )
    texts = tuple(sorted({c.text for c in real if c.text}))
    report(f"the voices {', '.join(names)} speak it, what sounds like it, and sentences")
    spoken, near, read = _spoken(phrase, written, texts, names, folder, options, report)
    seed = options.train.seed
    learn, held = (_sounds(clips, spoken, near, held, seed) for clips, held in ((real, False), (apart, True)))
    if not (learn.positives and held.positives):
        raise voices.VoiceError(f"only {len(spoken)} clips of the phrase were spoken: give more --clips or --voices")
    known = learn
    learn = replace(
        learn,
        speech=[*learn.speech, *(s.samples for s in read)],
        own_positives=[trim(c.samples, noisy=True) for c in own],
        own_negatives=[c.samples for c in given],
    )
    held = replace(held, speech=[*held.speech, *(c.samples for c in kept)])
    if kept:
        report(f"{_hours([c.samples for c in kept]):.1f} h of your recordings are kept for the thresholds")
    model = TriggerModel(options.model)
    if not (PRETRAINED_TRUNK.exists() and start_from(model, PRETRAINED_TRUNK)):
        measure_bands(model, learn, options.train)
    report(f"training on {_hours(learn.speech):.1f} h of speech, {len(learn.positives)} clips of the phrase")
    chosen = hold_out(held, options.model, options.held_out, options.train.seed + 6, known)
    fusion = _fusion(written, chosen, options, report)
    phonemes = Phonemes.of(fusion, chosen) if fusion else None
    measured = train(model, learn, chosen, options.train, folder, report, phonemes)
    card = {
        "phrase": phrase,
        "thresholds": {f"{rate:g}": threshold for rate, threshold in measured.thresholds.items()},
        "held out": measured.figures | {"hours without the phrase": round(chosen.hours, 2)},
        "voices": list(names),
        "clips": {
            "phrase": len(spoken),
            "near misses": len(near),
            "sentences": len(read),
            "own": len(own),
            "own negatives": len(given) + len(kept),
        },
        "minutes": round((time.monotonic() - began) / 60, 1),
    } | ({"fusion": fusion.options.asdict()} if fusion else {})
    threshold = measured.thresholds[options.train.rate]
    save_detector(model, output, card, DetectorOptions(threshold, options.train.smooth))
    forget(folder)
    report(f"the spoken clips stay in {folder}, for a next training of this phrase")
    return measured


def summary(measured: Validation, rate: float) -> str:
    """What a user may expect of the detector, in sentences."""
    (low, high), others = measured.interval(rate), [r for r in measured.missed if r != rate]
    rest = ", ".join(f"{100 * measured.missed[r]:.1f} % at {r:g}" for r in others)
    none = f"0.0 % (up to {100 * wilson(0, measured.phrases // max(1, len(measured.missed_in)))[1]:.0f})"
    shares = {c: f"{100 * m:.1f} %" if m else none for c, m in measured.missed_in.items()}
    each = ", ".join(f"{share} {condition}" for condition, share in shares.items())
    people = min(1.0, PEOPLE * max(measured.missed[rate], 1 / max(1, measured.phrases)))
    return (
        f"of {measured.phrases} phrases by held-out voices, slower and higher than those it learnt from, "
        f"{100 * measured.missed[rate]:.1f} % ({100 * low:.1f} to {100 * high:.1f}) are missed at the threshold for "
        f"{rate:g} false alarms an hour of speech: {each}. At other thresholds {rest} an hour. These voices are "
        f"synthetic; of real people some {PEOPLE:g} times as much was missed where we could try it (1.7 to 5 times, by "
        f"the word): expect {100 * people:.0f} % over such sound, less in quiet. "
        f"{60 * measured.hours:.0f} minutes of speech chose the threshold: other speech may give up to "
        f"{measured.most_alarms(rate):.1g} an hour. "
        "`wakeword check` tells in two minutes how well it hears you"
    )


def _fusion(phrase: str, held: ValidationSet, options: BuildOptions, report: Report) -> Fusion | None:
    """What hears the phrase's phonemes beside the RNN; None where the phrase is not said as we think."""
    model, phonemes = options.model, PhonemeModel.load()
    if (model.n_mels, model.stride, model.kernel) != (phonemes.n_mels, STEP_FRAMES, FIRST_STEP_FRAMES):
        return None
    fusion = Fusion(FusionOptions(tuple(ways(phrase))))
    heard = float(np.median(heard_at_ends(held, fusion)))
    if heard < NEUTRAL:
        report(f"without phonemes: in those of held-out voices the phrase is heard at {heard:.2f} only")
    return fusion if heard >= NEUTRAL else None


def _spoken(
    phrase: str,
    written: str,
    texts: tuple[str, ...],
    names: tuple[str, ...],
    folder: Path,
    options: BuildOptions,
    report: Report,
) -> list[list[Spoken]]:
    """The phrase and its near-misses by the chosen voices, and what the packaged speakers say by the fast ones."""
    seed, fast = options.train.seed, tuple(v.name for v in voices.VOICES if v.name in names and v.speed == "fast")
    near = near_misses(phrase, options.near_misses, np.random.default_rng(seed))
    jobs = [
        Job(folder / "phrase", tuple(phrases.variants(written)), options.clips, names, seed),
        Job(folder / "near", tuple(near), options.near_misses, names, seed + 1),
        Job(folder / "sentences", texts, options.sentences if fast else 0, fast, seed + 2, longest=15.0),
    ]
    return speak(jobs, options.train.processes, _clock(sum(job.count for job in jobs), report))


def _clock(total: int, report: Report) -> Callable[[int], None]:
    """Progress of the synthesis, every hundred clips, with the time left."""
    began, first, told = time.monotonic(), None, 0

    def progress(count: int) -> None:
        nonlocal first, told
        first = count if first is None else first
        if count // 100 > told // 100 and count > first:
            left = (time.monotonic() - began) / (count - first) * (total - count) / 60
            report(f"spoken {count} of {total} clips, about {left:.1f} min left for this part")
        told = count

    return progress


def _sounds(clips: list[negatives.Clip], spoken: list[Spoken], near: list[Spoken], held: bool, seed: int) -> Sounds:
    """What is learnt from, or what is ``held`` out: other voices, other speakers, other noise."""
    phrase, alike = _apart(spoken, held), [] if held else _apart(near, held)
    anew = said_anew(phrase, seed, HARDER) if held else said_anew([*phrase, *phrase], seed)
    return Sounds(
        [*phrase, *anew],
        [*alike, *said_anew(alike, seed + 1)],
        [c.samples for c in clips if c.text],
        [c.samples for c in clips if not c.text],
    )


def _apart(spoken: list[Spoken], held: bool) -> list[np.ndarray]:
    """Speakers are held out; where the voices have none to spare, or no others, every sixth clip is.

    Held-out voices that sound like machines tell nothing about people: they are not heard where there are others.
    """
    by_speaker = len({s.held_out for s in spoken}) == 2
    chosen = [s for i, s in enumerate(spoken) if (s.held_out if by_speaker else i % 6 == 5) == held]
    human = [s for s in chosen if not s.speaker.startswith(ROBOTS)]
    return [s.samples for s in (human if held and human else chosen)]


def _kept(given: list[negatives.Clip]) -> tuple[list[negatives.Clip], list[negatives.Clip]]:
    """The user's recordings without the phrase: to learn from, and, of MANY hours and more, half for the thresholds.

    A speaker is in one of them only; where nobody said who speaks, a recording is.
    """
    if _hours([c.samples for c in given]) < MANY:
        return given, []
    sides: tuple[list[negatives.Clip], list[negatives.Clip]] = [], []
    for number, clip in enumerate(given):
        sides[number % 2 if clip.speaker == "unknown" else zlib.crc32(clip.speaker.encode()) % 2].append(clip)
    return sides


def _hours(clips: Sequence[np.ndarray]) -> float:
    return sum(map(len, clips)) / SAMPLE_RATE / 3600
