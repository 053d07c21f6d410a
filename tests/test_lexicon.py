"""Search over a pronunciation lexicon, on made-up log-probabilities."""

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asr
from asr.cli import main
from asr.errors import UsageError
from asr.language import arpa
from asr.language.kneser_ney import TrainingOptions, train
from asr.model.onnx import load_model
from asr.search.base import LexiconOptions
from asr.search.decoder import Decoder
from asr.search.hotwords import Hotword
from asr.search.lexicon import Lexicon, packaged
from asr.search.options import DecoderOptions
from asr.search.tree import LexiconSearch
from recipes.language_model.lexicon import inflected

PHONEMES = ("AA", "B", "EH", "IY", "P", "R", "S", "T")
LEXICON = [
    ("a", "AA"), ("pear", "P EH R"), ("pair", "P EH R"), ("pairs", "P EH R S"), ("tea", "T IY"),
    ("eat", "IY T"), ("tree", "T R IY"), ("bare", "B EH R"), ("bear", "B EH R"), ("bee", "B IY"),
    ("the", "T AA"), ("the", "T IY"),
]  # fmt: skip
SENTENCES = [
    "eat a pear", "eat the pear", "a pear tree", "a pair the pair", "bare the tree", "bear a pear",
    "the bear", "a pair bear the bee", "tea the pairs", "pairs eat tea",
]  # fmt: skip
EXACT = LexiconOptions(beam=10**6, sure_blank=2.0, least_symbol=0.0, symbols=100, width=math.inf, recombine=False)


@pytest.fixture(scope="module")
def lm():
    return train(SENTENCES, TrainingOptions(order=3, min_word=1, min_counts=(1, 1, 1)))


@pytest.fixture(scope="module")
def search(lm):
    return LexiconSearch(PHONEMES, LEXICON, lm)


def spoken(path: str, sure: float = 0.95) -> np.ndarray:
    """Log-probabilities of a path of phonemes; _ is the blank."""
    best = [0 if p == "_" else 1 + PHONEMES.index(p) for p in path.split()]
    rows = np.full((len(best), len(PHONEMES) + 1), (1 - sure) / len(PHONEMES))
    rows[np.arange(len(best)), best] = sure
    return np.log(rows).astype(np.float32)


def random_log_probs(frames: int, symbols: int, seed: int, sharpness: float = 1.5) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, symbols)) * sharpness
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def text_of(search, log_probs) -> str:
    return search(log_probs)[0].text


def test_known_pronunciations_become_their_words(search):
    assert text_of(search, spoken("_ _ P P EH R _ T R _ IY _")) == "pear tree"
    assert text_of(search, spoken("IY T AA P EH R")) == "eat a pear"


def test_the_language_model_picks_among_homophones(search):
    assert text_of(search, spoken("IY T _ AA P _ EH R _")) == "eat a pear"
    assert text_of(search, spoken("AA P EH R B EH R T AA B _ IY")) == "a pair bear the bee"
    assert text_of(search, spoken("B EH R T AA T R IY")) == "bare the tree"


def test_a_word_can_have_several_pronunciations(search):
    for path in ("T AA B EH R", "T IY B EH R"):
        assert text_of(search, spoken(path)) == "the bear"


def test_a_phoneme_twice_across_words_needs_a_blank(search):
    assert text_of(search, spoken("IY T _ T R IY", 0.999)) == "eat tree"
    assert text_of(search, spoken("IY T T R IY", 0.999999)) != "eat tree"


def test_a_word_inside_a_longer_one(search):
    assert text_of(search, spoken("P EH R S IY T _ T IY")) == "pairs eat tea"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_only_words_of_the_lexicon(search, seed):
    words = {word for word, _ in LEXICON}
    for hypothesis in search(random_log_probs(20, 9, seed), n=10):
        assert set(hypothesis.text.split()) <= words


def test_nothing_heard(search):
    assert text_of(search, np.zeros((0, 9), np.float32)) == ""
    assert text_of(search, spoken("_ _ _")) == ""
    assert search.finish(search.start())[0].acoustic == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 24), max_size=5))
def test_any_cut_of_the_frames_gives_the_same(search, seed, cuts):
    log_probs = random_log_probs(24, 9, seed)
    log_probs[5:8] = spoken("_ _ _", 0.9999)
    state = search.start()
    for low, high in itertools.pairwise([0, *sorted(cuts), 24]):
        state = search.feed(state, log_probs[low:high])
    assert search.finish(state, 5) == search(log_probs, n=5)


def test_a_state_can_be_gone_on_from_twice(search):
    state = search.feed(search.start(), spoken("IY T _"))
    one = search.finish(search.feed(state, spoken("AA P EH R")))[0]
    search.feed(state, spoken("T IY"))
    assert search.finish(search.feed(state, spoken("AA P EH R")))[0] == one
    assert search.finish(state)[0].text == "eat"


def test_a_word_broken_off_is_left_out(search):
    assert text_of(search, spoken("T R IY B", 0.9999)) == "tree"


@pytest.mark.parametrize("look_ahead", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_wide_beam_is_exact(lm, seed, look_ahead):
    """Against the sum over all paths of phonemes and all ways of cutting them into words."""
    log_probs = random_log_probs(5, 9, seed)
    options = LexiconOptions(**{**vars(EXACT), "look_ahead": look_ahead})
    found = {h.text: h for h in LexiconSearch(PHONEMES, LEXICON, lm, options)(log_probs, n=10**6)}
    expected = all_texts(log_probs)
    assert expected.keys() <= found.keys()
    for text, acoustic in expected.items():
        assert found[text].acoustic == pytest.approx(acoustic, abs=1e-4)
        assert found[text].language == pytest.approx(sentence_log_prob(lm, text), abs=1e-4)
        words = len(text.split())
        score = acoustic + options.lm_weight * found[text].language + options.word_bonus * words
        assert found[text].score == pytest.approx(score, abs=1e-4)


def all_texts(log_probs: np.ndarray) -> dict[str, float]:
    probs, said = np.exp(log_probs.astype(np.float64)), defaultdict(float)
    for path in itertools.product(range(len(PHONEMES) + 1), repeat=len(probs)):
        phonemes = tuple(PHONEMES[k - 1] for k, _ in itertools.groupby(path) if k)
        said[phonemes] += math.prod(probs[t, k] for t, k in enumerate(path))
    texts = defaultdict(float)
    for phonemes, p in said.items():
        for text in set(readings(phonemes)):
            texts[text] += p
    return {text: math.log(p) for text, p in texts.items()}


def readings(phonemes: tuple[str, ...]) -> list[str]:
    if not phonemes:
        return [""]
    found = []
    for word, said in LEXICON:
        n = len(said.split())
        if phonemes[:n] == tuple(said.split()):
            found += [f"{word} {rest}".strip() for rest in readings(phonemes[n:])]
    return found


def sentence_log_prob(lm, text: str) -> float:
    state, total = lm.start(), 0.0
    for word in text.split():
        score, state = lm.score(state, word)
        total += score
    return total + lm.end(state)


def test_words_the_language_model_lacks_can_be_added(lm):
    search = LexiconSearch(PHONEMES, [*LEXICON, ("sepp", "S EH P")], lm, LexiconOptions(width=20.0))
    assert text_of(search, spoken("IY T S EH P", 0.999)) == "eat sepp"


def test_the_prior_is_divided_out(lm):
    """A model too fond of the blank still finds words."""
    shy = spoken("_ P P EH R _", 0.6)
    shy[:, 0] += 4.0
    shy -= np.logaddexp.reduce(shy, axis=1, keepdims=True)
    log_prior = np.log(np.array([0.9] + [0.1 / 8] * 8))
    options = LexiconOptions(prior_weight=1.0)
    assert text_of(LexiconSearch(PHONEMES, LEXICON, lm, options), shy) == ""
    assert text_of(LexiconSearch(PHONEMES, LEXICON, lm, options, log_prior), shy).startswith("p")
    with pytest.raises(UsageError, match="prior"):
        LexiconSearch(PHONEMES, LEXICON, lm, options, log_prior[:3])


def test_bad_lexicons_and_shapes(search, lm, tmp_path):
    with pytest.raises(UsageError, match="'OY'"):
        LexiconSearch(PHONEMES, [("boy", "B OY")], lm)
    with pytest.raises(UsageError, match="no words"):
        LexiconSearch(PHONEMES, [], lm)
    with pytest.raises(UsageError, match="no lexicon"):
        Lexicon.read(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_text("pear\n")
    with pytest.raises(UsageError, match="TAB"):
        Lexicon.read(tmp_path / "bad.txt")
    (tmp_path / "bad.txt.xz").write_text("pear")
    with pytest.raises(UsageError, match="damaged"):
        Lexicon.read(tmp_path / "bad.txt.xz")
    with pytest.raises(ValueError, match="shape"):
        search(np.zeros((3, 5), np.float32))


def test_packaged_lexicon():
    pairs = list(packaged().pairs())
    assert {("pear", "P EH R"), ("pair", "P EH R"), ("read", "R IY D"), ("read", "R EH D")} <= set(pairs)
    assert len(pairs) > 40_000 and not any(c.isdigit() for _, said in pairs[:1000] for c in said)


def test_inflections():
    known = {"bus": [["B", "AH", "S"]], "cat": [["K", "AE", "T"]], "plan": [["P", "L", "AE", "N"]],
             "hate": [["HH", "EY", "T"]], "cry": [["K", "R", "AY"]]}  # fmt: skip
    wanted = {"bus's": "B AH S IH Z", "cats": "K AE T S", "planned": "P L AE N D", "hated": "HH EY T IH D",
              "hating": "HH EY T IH NG", "cries": "K R AY Z", "cried": "K R AY D"}  # fmt: skip
    assert {w: " ".join(inflected(w, known)[0]) for w in wanted} == wanted
    assert inflected("dogs", known) == []


@pytest.mark.parametrize("seed", range(4))
def test_recombination_keeps_a_text_of_the_best_score(lm, seed):
    """Texts with the same future are searched once, as the likelier of them."""
    log_probs = random_log_probs(8, 9, seed, sharpness=2.0)
    options = replace(EXACT, least_symbol=0.01)
    every, some = (
        {h.text: h for h in LexiconSearch(PHONEMES, LEXICON, lm, replace(options, recombine=r))(log_probs, n=n)}
        for r, n in ((False, 10**6), (True, 100))
    )
    best = max(some, key=lambda text: some[text].score)
    assert every[best].score - 0.3 <= some[best].score <= every[best].score + 1e-6
    assert every[best].score >= max(h.score for h in every.values()) - 0.3
    # what was dropped for it is among the best all the same, nearly always with its own score
    likely = sorted(every.values(), key=lambda h: -h.score)[:20]
    assert sum(h.text in some and abs(h.score - some[h.text].score) < 0.5 for h in likely) >= 17
    assert all(h.language == pytest.approx(every[h.text].language) for h in some.values() if h.text in every)


@pytest.mark.parametrize(
    "word, first, another",
    [
        ("hdmi", "EY CH D IY EH M AY", "D M IY"),
        ("bbc", "B IY B IY S IY", "B IY B IY S IY"),
        ("gpu", "JH IY P IY Y UW", "G P UW"),
        ("nasa", "N AE S", "EH N EY EH S EY"),
        ("usb", "Y UW EH S B IY", "Y UW EH S B IY"),
        ("nebb", "N EH B", "EH N IY B IY B IY"),
        ("bqz", "B IY K Y UW Z IY", "B K Z"),
    ],
)
def test_acronyms_are_tried_spelt_and_as_a_word(word, first, another):
    ways = packaged().ways(word)
    assert ways[0].startswith(first) and any(way.startswith(another) for way in ways)


def test_ones_own_lexicon_says_how_a_word_is_pronounced_and_nothing_else_does(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("# mine\nHDMI\tHH AH D M IY\nhdmi(2)  EY1 CH D\npear\tP IH R\n")
    lexicon = packaged().overridden(Lexicon.read(tmp_path / "mine.txt"))
    assert lexicon.ways("hdmi") == ["HH AH D M IY", "EY CH D"] and lexicon.ways("pear") == ["P IH R"]
    assert lexicon.ways("pair") == ["P EH R"] and lexicon.pronounce("a pear") == ["AH", "P", "IH", "R"]
    assert main(["say-how", "Pear", "bqz", "bbc", "--lexicon", str(tmp_path / "mine.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["pear\tP IH R\tyour lexicon", "bqz\tB IY K Y UW Z IY\tletter by letter"]
    assert lines[-1] == "bbc\tB IY B IY S IY\tlexicon"
    assert main(["say-how", "p3ar"]) == 2 and "the alphabet has no '3'" in capsys.readouterr().err
    (tmp_path / "odd.txt").write_text("gif\tXX\n")
    assert main(["say-how", "gif", "--lexicon", str(tmp_path / "odd.txt")]) == 2
    assert "odd.txt has the phoneme 'XX'" in capsys.readouterr().err


def test_hotwords_are_pronounced_as_ones_own_lexicon_says():
    model, card = load_model()
    options = DecoderOptions(hotwords=(Hotword("hdmi"), Hotword("zork")), pronunciations=(("hdmi", "HH AH D M IY"),))
    decoder = Decoder(model, card, options)
    assert decoder.pronounced("hdmi") == [[1 + model.options.phonemes.index(p) for p in "HH AH D M IY".split()]]
    assert decoder.pronounced("zork") != [] == decoder.pronounced("zorkmid")
    with pytest.raises(UsageError, match="has the phoneme 'Q'"):
        Decoder(model, card, DecoderOptions(pronunciations=(("hdmi", "Q"),)))
    with pytest.raises(UsageError, match="no phonemes are searched"):
        Decoder(model, card, DecoderOptions(lexicon=False, pronunciations=(("hdmi", "HH"),)))
    commands = Decoder(model, card, DecoderOptions(commands=("hdmi",), pronunciations=(("hdmi", "HH AH D"),)))
    assert len(commands.pronounced("hdmi")[0]) == 3


# a decoder of one's own


def test_a_decoder_for_anyones_letters(lm, tmp_path):
    labels = ["", " ", *"abelprt"]
    rows = np.full((9, len(labels)), 0.02)
    rows[np.arange(9), [labels.index("" if c == "_" else c) for c in "pe_arata_"[:9]]] = 0.9
    log_probs = np.log(rows / rows.sum(1, keepdims=True)).astype(np.float32)
    assert asr.decoder(labels)(log_probs)[0].text == "pearata"
    arpa.write(lm, tmp_path / "lm.arpa")
    fused, hot = asr.decoder(labels, lm=tmp_path / "lm.arpa"), asr.decoder(labels, lm, ["pearat"])
    assert fused(log_probs, n=3)[0].score < asr.decoder(labels)(log_probs)[0].score
    state = hot.start()
    for row in log_probs:
        state = hot.feed(state, row[None])
    assert hot.finish(state, 3) == hot(log_probs, n=3) and hot.partial(state).words
    with pytest.raises(asr.Error, match='the blank "" first'):
        asr.decoder([*"abc", ""])


def test_a_decoder_for_anyones_phonemes(lm):
    lexicon = {"pear": ["P EH R"], "eat": ["IY T"], "a": ["AA"]}
    decoder = asr.decoder(["", *PHONEMES], lm, lexicon=lexicon)
    assert decoder(spoken("IY T AA P EH R"))[0].text == "eat a pear"
    with pytest.raises(asr.Error, match="needs an n-gram model"):
        asr.decoder(["", *PHONEMES], lexicon=lexicon)
