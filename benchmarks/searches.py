"""The searches that are compared, in one process: python -m benchmarks.searches FOLDER BEAM...

Runs in the environment of the peers: no torch here. FOLDER holds what benchmarks.search has put there; results.json is
added: of each search its CPU seconds and, of each clip, the text and its score. All searches take turns, clip after
clip, so that they share a busy machine's bad moments.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

from asr.language.ngram import NgramModel, log_prob
from asr.language.ngram_file import load as load_ngram
from asr.model.checkpoint import MODELS
from asr.search.base import LexiconOptions, SearchOptions
from asr.search.compiled import lexicon_search
from asr.search.ctc_paths import ctc_scores
from asr.search.letters import LetterSearch
from asr.search.lexicon import Pronunciation, packaged
from asr.text import BLANK, LETTERS, Alphabet

PACKAGES = ("flashlight-text", "camel-kenlm", "ctc-beam-decoder", "pyctcdecode", "rapidfuzz", "safetensors")
WAYS = 64  # of saying a text, at most, among which the likeliest counts
TYPICAL = 6  # letters of a word, by which pyctcdecode measures its penalty for unknown words
Search = Callable[[np.ndarray], str]  # log-probabilities (T, V), the prior divided out -> the text


class Material:
    """What all searches share. options: of both searches, with the weights of the model's card."""

    def __init__(self, folder: Path):
        data, self.arpa = np.load(folder / "heads.npz"), str(folder / "lm.arpa")
        options = json.loads((folder / "options.json").read_text())
        self.words, self.letters = LexiconOptions(**options["lexicon"]), SearchOptions(**options["letters"])
        self.phonemes, self.clips = data["phonemes"].tolist(), len(data["seconds"])
        self.rows = {what: [data[f"{what}{i}"] for i in range(self.clips)] for what in ("phonemes", "letters")}
        self.lm: NgramModel = load_ngram(MODELS / "english-lm.npz")
        self.lexicon: list[Pronunciation] = list(packaged().pairs())
        self.alphabet = Alphabet(LETTERS)


def ours_in_lexicon(m: Material, beam: int) -> Search:
    options = LexiconOptions(**vars(m.words) | {"beam": beam})
    search = lexicon_search(m.phonemes, m.lexicon, m.lm, options)
    return lambda log_probs: search.decode(log_probs)[0].text


def ours_in_letters(m: Material, beam: int) -> Search:
    search = LetterSearch(m.alphabet, SearchOptions(**vars(m.letters) | {"beam": beam}), m.lm)
    return lambda log_probs: search.decode(log_probs)[0].text


def flashlight(m: Material, beam: int) -> Search:
    """With the options of ours: tokens by beam_size_token, the width as threshold, look-ahead by the likeliest word."""
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    o, words = m.words, Dictionary()
    for word in dict.fromkeys(word for word, _ in m.lexicon):
        words.add_entry(word)
    words.add_entry("<unk>")
    words.set_default_index(words.get_index("<unk>"))
    model = KenLM(m.arpa, words)
    silence = len(m.phonemes) + 1  # flashlight's silence: a column of its own that never is
    column = {p: i for i, p in enumerate(m.phonemes, start=1)}
    trie, start = Trie(silence + 1, silence), model.start(False)
    for word, said in m.lexicon:
        index = words.get_index(word)
        trie.insert([column[p] for p in said.split()], index, model.score(start, index)[1])
    trie.smear(SmearingMode.MAX)
    weight = o.lm_weight * math.log(10)  # its scores are log10
    options = LexiconDecoderOptions(
        beam, o.symbols, o.width, weight, o.word_bonus, -math.inf, 0.0, True, CriterionType.CTC
    )
    decoder = LexiconDecoder(options, trie, model, silence, BLANK, words.get_index("<unk>"), [], False)

    def search(log_probs: np.ndarray) -> str:
        rows = np.ascontiguousarray(np.pad(log_probs, ((0, 0), (0, 1)), constant_values=-1e4), np.float32)
        found = decoder.decode(rows.ctypes.data, *rows.shape)
        return " ".join(words.get_entry(i) for i in found[0].words if i >= 0) if found else ""

    return search


def _fusion(o: SearchOptions) -> dict[str, float]:
    """The weights of ours, as pyctcdecode and ctc-beam-decoder call them."""
    return {"alpha": o.lm_weight, "beta": o.word_bonus, "unk_score_offset": TYPICAL * o.lm_weight * o.unknown}


def _pruning(o: SearchOptions, beam: int) -> dict[str, float]:
    return {"beam_width": beam, "beam_prune_logp": -o.width, "token_min_logp": math.log(o.least_symbol)}


def ctc_beam_decoder(m: Material, beam: int) -> Search:
    from ctc_beam_decoder import build_ctcdecoder

    decoder = build_ctcdecoder(list(LETTERS), m.arpa, _known(m), **_fusion(m.letters))
    order = list(range(1, len(m.alphabet)))
    order.insert(decoder.blank_id, BLANK)
    return lambda log_probs: decoder.decode(log_probs[:, order], **_pruning(m.letters, beam))


def pyctcdecode(m: Material, beam: int) -> Search:
    from pyctcdecode import build_ctcdecoder

    decoder = build_ctcdecoder(["", *LETTERS], m.arpa, _known(m), **_fusion(m.letters))
    return lambda log_probs: decoder.decode(log_probs, **_pruning(m.letters, beam))


def _known(m: Material) -> list[str]:
    return m.lm.words[3:]  # without <unk>, <s>, </s>


SEARCHES = {  # name -> what it searches, and how
    "ours, lexicon": ("phonemes", ours_in_lexicon),
    "flashlight-text, lexicon": ("phonemes", flashlight),
    "ours, letters": ("letters", ours_in_letters),
    "ctc-beam-decoder, letters": ("letters", ctc_beam_decoder),
    "pyctcdecode, letters": ("letters", pyctcdecode),
}


def score(m: Material, what: str, i: int, text: str) -> float:
    """What ours maximises: ln probability by CTC, of all ways to say it, and the weighted language model's."""
    o = m.words if what == "phonemes" else m.letters
    unknown = sum(o.unknown * len(word) for word in text.split() if word not in m.lm)
    language = o.lm_weight * (log_prob(m.lm, text) + unknown) + o.word_bonus * len(text.split())
    ways = list(_ways(m, text)) if what == "phonemes" else [m.alphabet.encode(text)]
    return float(np.logaddexp.reduce(ctc_scores(m.rows[what][i], ways))) + language


def _ways(m: Material, text: str) -> Iterator[list[int]]:
    column = {p: i for i, p in enumerate(m.phonemes, start=1)}
    wanted = text.split()
    said = {word: [way for known, way in m.lexicon if known == word] for word in set(wanted)}
    for _, ways in zip(range(WAYS), product(*(said[word] for word in wanted))):
        yield [column[p] for way in ways for p in way.split()]


def main() -> None:
    m, beams = Material(Path(sys.argv[1])), [int(beam) for beam in sys.argv[2:]]
    systems, found = {}, []
    for (name, (what, make)), beam in product(SEARCHES.items(), beams):
        found.append({"search": name, "over": what, "beam": beam, "CPU s": 0.0, "texts": [], "scores": []})
        systems[name, beam] = make(m, beam)
    for i in range(m.clips):
        for row in found:
            began = time.process_time()
            text = systems[row["search"], row["beam"]](m.rows[row["over"]][i])
            row["CPU s"] += time.process_time() - began
            row["texts"].append(text)
    for row in found:
        row["scores"] = [score(m, row["over"], i, text) for i, text in enumerate(row["texts"])]
    versions = {package: version(package) for package in PACKAGES[:4]}
    (Path(sys.argv[1]) / "results.json").write_text(json.dumps({"rows": found, "versions": versions}))


if __name__ == "__main__":
    main()
