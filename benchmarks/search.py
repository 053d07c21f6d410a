"""Our lexicon search beside flashlight-text's, on the same log-probabilities, lexicon and language model.

    python -m benchmarks.search dump DEV.jsonl heads.npz lm.arpa
    OMP_NUM_THREADS=1 python -m benchmarks.search run heads.npz lm.arpa --beams 32 64

`run` needs no torch; flashlight-text and camel-kenlm are measured where they are installed. CPU time is that of the
process, without loading; clip after clip, all systems take turns, so that they share a busy machine's bad moments.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.lexicon import read_lexicon
from asr.lexicon_search import LexiconOptions, LexiconSearch
from asr.ngram import NgramModel, log_prob
from asr.ngram import load as load_ngram

MODELS = Path(__file__).parents[1] / "asr" / "models"
Search = Callable[[np.ndarray], str]  # log-probabilities of phonemes, the prior divided out -> the text


def dump(manifest: Path, heads: Path, arpa: Path) -> None:
    """The packaged model's log-probabilities (T, P) of every utterance, and its language model as ARPA."""
    from asr import arpa as arpa_file
    from asr.checkpoint import load_model
    from asr.decoding import DecoderOptions
    from asr.recognizer import Recognizer
    from asr.training.data import read_manifest
    from asr.words import SureDecoder
    from recipes.english.evaluate import all_log_probs

    model, card = load_model()
    utterances = read_manifest(manifest)
    found = all_log_probs(Recognizer(model, SureDecoder(model, card, DecoderOptions(beam=1))), utterances)
    prior = LexiconOptions().prior_weight * np.array(card["log_priors"]["phonemes"], np.float32)
    rows = [phonemes - prior for _, phonemes in found]
    rows = [row - np.logaddexp.reduce(row, axis=1, keepdims=True) for row in rows]
    np.savez(
        heads,
        *rows,
        texts=[u.text for u in utterances],
        seconds=[u.duration for u in utterances],
        phonemes=model.options.phonemes,
    )
    arpa_file.write(load_ngram(MODELS / "english-lm.npz"), arpa)


def ours(phonemes: list[str], lm: NgramModel, beam: int) -> Search:
    search = LexiconSearch(phonemes, read_lexicon(MODELS / "english-lexicon.txt.xz"), lm, LexiconOptions(beam=beam))
    return lambda log_probs: search.decode(log_probs)[0].text


def flashlight(phonemes: list[str], lm: NgramModel, arpa: Path, beam: int) -> Search:
    """With the options of ours: tokens by beam_size_token, the width as threshold, look-ahead by the likeliest word."""
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    o, lexicon = LexiconOptions(), read_lexicon(MODELS / "english-lexicon.txt.xz")
    words = Dictionary()
    for word in dict.fromkeys(word for word, _ in lexicon):
        words.add_entry(word)
    words.add_entry("<unk>")
    words.set_default_index(words.get_index("<unk>"))
    model = KenLM(str(arpa), words)
    silence = len(phonemes) + 1  # flashlight's silence: a column of its own that never is
    column = {p: i for i, p in enumerate(phonemes, start=1)}
    trie, start = Trie(silence + 1, silence), model.start(False)
    for word, said in lexicon:
        index = words.get_index(word)
        trie.insert([column[p] for p in said.split()], index, model.score(start, index)[1])
    trie.smear(SmearingMode.MAX)
    weight = o.lm_weight * math.log(10)  # its scores are log10
    options = LexiconDecoderOptions(
        beam, o.symbols, o.width, weight, o.word_bonus, -math.inf, 0.0, True, CriterionType.CTC
    )
    decoder = LexiconDecoder(options, trie, model, silence, 0, words.get_index("<unk>"), [], False)

    def search(log_probs: np.ndarray) -> str:
        rows = np.ascontiguousarray(np.pad(log_probs, ((0, 0), (0, 1)), constant_values=-1e4), np.float32)
        found = decoder.decode(rows.ctypes.data, *rows.shape)
        return " ".join(words.get_entry(i) for i in found[0].words if i >= 0) if found else ""

    return search


def run(heads: Path, arpa: Path, beams: list[int], every: int) -> None:
    data, lm = np.load(heads), load_ngram(MODELS / "english-lm.npz")
    phonemes = data["phonemes"].tolist()
    systems: dict[str, Search] = {}
    for beam in beams:
        systems[f"ours, beam {beam}"] = ours(phonemes, lm, beam)
        try:
            systems[f"flashlight, beam {beam}"] = flashlight(phonemes, lm, arpa, beam)
        except ImportError as error:
            print(f"without flashlight: {error}")
    spent, texts = dict.fromkeys(systems, 0.0), {name: [] for name in systems}
    chosen = range(0, len(data["texts"]), every)
    for i in chosen:
        for name, search in systems.items():
            began = time.process_time()
            texts[name].append(search(data[f"arr_{i}"]))
            spent[name] += time.process_time() - began
    references, seconds = data["texts"][::every].tolist(), data["seconds"][::every].sum()
    words = sum(len(text.split()) for text in references)
    print("| search | CPU ms a second of audio | WER | ln probability of its texts by the language model |")
    print("|---|---|---|---|")
    for name in systems:
        wrong = sum(Levenshtein.distance(a.split(), b.split()) for a, b in zip(references, texts[name]))
        mean = np.mean([log_prob(lm, text) for text in texts[name]])
        print(f"| {name} | {1000 * spent[name] / seconds:.2f} | {100 * wrong / words:.1f} % | {mean:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    first = parts.add_parser("dump")
    first.add_argument("manifest", type=Path)
    second = parts.add_parser("run")
    for p in (first, second):
        p.add_argument("heads", type=Path)
        p.add_argument("arpa", type=Path)
    second.add_argument("--beams", type=int, nargs="+", default=[32, 64])
    second.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    options = vars(parser.parse_args())
    {"dump": dump, "run": run}[options.pop("part")](**options)


if __name__ == "__main__":
    main()
