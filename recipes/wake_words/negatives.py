"""Pack the negatives that come with the package: real speech and noise as Ogg Opus, an index and a card.

    python -m recipes.wake_words.negatives DATA --output wakeword/data

Only what is CC0, public domain or CC BY goes in, and only from training material. About 30 % of the speakers, and of
the recordings of noise, are held out: they choose the checkpoint and the threshold of a detector.
"""

from __future__ import annotations

import argparse
import json
import tomllib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE

INDEX, CARD = "negatives.jsonl", "NEGATIVES.md"
NOISES = Path(__file__).with_name("noises.toml")
HELD_OUT = 0.3
LONGEST_NOISE = 60.0  # s of one recording; of longer ones the middle
KBITS = {"speech": 17, "noise": 16}  # a second
SPEECH = {  # corpus -> seconds of a speaker, at most (but one utterance), and every how manieth speaker
    "commonvoice": (40.0, 1),
    "librispeech-machine-labelled": (60.0, 1),
    "librispeech": (100.0, 1),
    "speechocean762": (3.0, 2),
}


@dataclass(frozen=True)
class Source:
    """A recording to be packed."""

    path: Path
    text: str  # normalised; "" for noise
    corpus: str
    speaker: str  # or the recording that a noise is from
    licence: str

    @property
    def file(self) -> str:
        """The packed file that it goes into."""
        return f"{'speech' if self.text else 'noise'}-{self.split}.opus"

    @property
    def split(self) -> str:
        return "held-out" if checksum(self.speaker) % 100 < 100 * HELD_OUT else "train"


@dataclass(frozen=True)
class Row:
    """A line of the index: a stretch of a packed file."""

    file: str
    start: float  # s
    duration: float  # s
    text: str
    corpus: str
    speaker: str
    licence: str
    split: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with speech/train.jsonl and noise.jsonl")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    sources = [*speech(options.data / "speech" / "train.jsonl"), *noise(options.data / "noise.jsonl")]
    rows = []
    for file in sorted({s.file for s in sources}):
        rows += pack([s for s in sources if s.file == file], options.output / file)
    lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    (options.output / INDEX).write_text("".join(lines), "utf-8")
    (options.output / CARD).write_text(card(rows, options.output), "utf-8")


def speech(manifest: Path) -> Iterator[Source]:
    """Some utterances of many speakers; which, is left to checksums."""
    entries = read(manifest)
    for corpus, (seconds, every) in SPEECH.items():
        speakers = sorted({e["speaker"] for e in entries if e["corpus"] == corpus}, key=checksum)
        for speaker in speakers[::every]:
            own = [e for e in entries if e["speaker"] == speaker and e["text"]]
            own.sort(key=lambda e: checksum(e["text"]))
            ends = np.cumsum([e["duration"] for e in own])
            for e in (e for e, end in zip(own, ends) if end <= max(seconds, ends[0])):
                yield Source(manifest.parent / e["audio_filepath"], e["text"], corpus, speaker, e["license"])


def noise(manifest: Path) -> Iterator[Source]:
    """What noises.toml lists."""
    known = tomllib.loads(NOISES.read_text("utf-8"))
    for e in read(manifest):
        path, corpus = manifest.parent / e["audio_filepath"], e["corpus"]
        clip = "-".join(path.stem.split("-")[-3:])  # ESC-10's name of it: fold, Freesound's number, take
        if corpus == "esc10" and clip in known["esc10"]["clips"]:
            yield Source(path, "", corpus, f"freesound-{clip.split('-')[1]}", known["esc10"]["licence"])
        elif path.stem in known:
            yield Source(path, "", corpus, path.stem, known[path.stem]["licence"])


def read(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]


def checksum(name: str) -> int:
    return zlib.crc32(name.encode())


def pack(sources: Iterable[Source], path: Path) -> list[Row]:
    """One recording after the other into an Ogg Opus file."""
    rows, at = [], 0
    level = 1 - (KBITS[path.name.split("-")[0]] - 6) / 250  # how libsndfile counts from 256 kbit/s down to 6
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "OPUS", format="OGG", compression_level=level) as out:
        for s in sources:
            samples = decode(s)
            out.write(samples)
            start, duration = at / SAMPLE_RATE, len(samples) / SAMPLE_RATE
            rows.append(Row(path.name, start, duration, s.text, s.corpus, s.speaker, s.licence, s.split))
            at += len(samples)
    if soundfile.info(path).frames != at:
        raise SystemExit(f"{path} holds {soundfile.info(path).frames} samples, {at} were written")
    return rows


def decode(source: Source) -> np.ndarray:
    samples, rate = soundfile.read(source.path, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise SystemExit(f"{source.path} is not 16 kHz mono")
    spare = 0 if source.text else max(0, len(samples) - int(LONGEST_NOISE * SAMPLE_RATE))
    return samples[spare // 2 : len(samples) - (spare - spare // 2)]


def card(rows: list[Row], folder: Path) -> str:
    files = sorted({row.file for row in rows})
    sizes = [f"| {f} | {amount(rows, file=f)} | {(folder / f).stat().st_size / 1e6:.1f} MB |" for f in files]
    corpora = [f"| {corpus} | {amount(rows, corpus=corpus)} | {about} |" for corpus, about in ABOUT.items()]
    known = tomllib.loads(NOISES.read_text("utf-8"))
    credits = [f"- {name}: {k['origin']} ({k['licence']})" for name, k in known.items() if "origin" in k]
    command = f"python -m recipes.wake_words.negatives DATA --output {folder}"
    tables = {"sizes": sizes, "corpora": corpora, "credits": credits}
    return CARD_TEXT.format(command=command, **{name: "\n".join(lines) for name, lines in tables.items()})


def amount(rows: list[Row], **where: str) -> str:
    """Cells of a table: clips, minutes, speakers."""
    chosen = [row for row in rows if all(getattr(row, k) == v for k, v in where.items())]
    return f"{len(chosen)} | {sum(row.duration for row in chosen) / 60:.1f} | {len({row.speaker for row in chosen})}"


ABOUT = {
    "commonvoice": "Mozilla Common Voice, English; CC0",
    "librispeech-machine-labelled": "LibriSpeech (V. Panayotov et al. 2015), texts by Whisper base; CC BY 4.0",
    "librispeech": "LibriSpeech; CC BY 4.0",
    "speechocean762": "speechocean762 (J. Zhang et al. 2021), English by Mandarin speakers; CC BY 4.0",
    "esc10": "ESC-10 (K. J. Piczak 2015), CC BY 3.0; only clips of recordings that are CC0",
    "blanket": "sounds of the program Blanket; each as below",
    "amb": "sounds of the program ambientsounds; each as below",
    "gscbg": "backgrounds of Speech Commands v0.02 (P. Warden 2018), CC BY 4.0",
}

CARD_TEXT = """# The packaged negatives

Real speech and noise, so that training a phrase needs nothing else; what says the phrase by its text is then left out.
`negatives.jsonl` tells what lies where: file, start and duration (s), text, corpus, speaker (of noise: the recording),
licence, split. "held-out" is about 30 % of the speakers and of the recordings of noise, and none of "train".

| file | clips | minutes | speakers | size |
|---|---|---|---|---|
{sizes}

| corpus | clips | minutes | speakers | source and licence |
|---|---|---|---|---|
{corpora}

Changed from the originals: chosen, noise cut to its middle minute, coded again as Opus at 16 and 17 kbit/s. Nothing
here is from a development or test split. The texts of `librispeech-machine-labelled` hold a few wrong words. There is
no far-field speech, no telephone, no music, no television, and speech is read aloud, not spontaneous.

Made by `{command}`; DATA holds `speech/train.jsonl` and
`noise.jsonl`.

`heard.npz` (1.3 MB) is what the packaged acoustic model hears in the speech: of every 40 ms the eight likeliest
phonemes and their probabilities. `wakeword listen --phrase` chooses its thresholds on it;
`python -m recipes.wake_words.heard` makes it anew for another model.

Licences: [CC0](https://creativecommons.org/publicdomain/zero/1.0/),
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), [CC BY 3.0](https://creativecommons.org/licenses/by/3.0/);
where only "CC BY" is said, the page of the recording names the version.

## Credits of the noises
- ESC-10: a clip's `speaker` is `freesound-` and the number of the recording at https://freesound.org; all are CC0
{credits}
"""


if __name__ == "__main__":
    main()
