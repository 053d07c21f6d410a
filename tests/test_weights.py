"""Weights of searches: what the user says, what the card says, what goes by default; how they are tuned."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asr
from asr.errors import UsageError
from asr.model.checkpoint import CheckpointError, locate, update_card
from asr.model.network.ctc import load_network
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.options import DEFAULTS, NAMES, Weights, read_weights, weights_for
from recipes.english import tune
from recipes.english.candidates import Candidates

CLIPS = Path(__file__).parent / "data" / "clips.jsonl"
numbers = st.none() | st.floats(0.01, 100)
some_weights = st.builds(Weights, *[numbers] * len(NAMES))


@given(some_weights, some_weights)
def test_what_is_given_goes_over_what_is_not(mine, others):
    for name in NAMES:
        wanted = getattr(mine, name)
        assert getattr(mine.over(others), name) == (getattr(others, name) if wanted is None else wanted)


@given(some_weights.filter(lambda w: w.given))
def test_weights_are_read_as_they_are_written(weights):
    assert read_weights(", ".join(f"{name} = {value!r}" for name, value in weights.given.items())) == weights


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no weight is called ''"),
        ("lm=1.2;rnn=0", "'1.2;rnn=0' is no weight for lm"),
        ("ngram=1", "no weight is called 'ngram': give lm, word"),
        ("lm", "'' is no weight for lm"),
        ("lm=0", "a number from 0.01"),
        ("rnn=-1", "a number from 0 to"),
        ("prior=nan", "'nan' is no weight"),
        ("word=1e9", "'1e9' is no weight"),
    ],
)
def test_bad_weights_are_one_sentence(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_weights(text)
    assert "\n" not in str(caught.value)


def test_a_search_has_the_users_weights_or_the_cards_or_defaults():
    card = {"weights": {"lexicon": {"lm": 1.4, "rnn": 0.2}}}
    found = weights_for("lexicon", Weights(lm=2.0), card)
    assert (found.lm, found.rnn, found.letters) == (2.0, 0.2, DEFAULTS["lexicon"].letters)
    assert weights_for("letters", Weights(), card) == DEFAULTS["letters"]
    assert weights_for("lexicon", Weights(), {}) == DEFAULTS["lexicon"]
    with pytest.raises(UsageError, match="letters alone.* no weight called lm, only: prior, attention"):
        weights_for("letters alone", Weights(lm=1.0), card)


@pytest.mark.parametrize("values", [{"loudness": 1.0}, {"lm": "much"}, {"lm": None}, 3])
def test_a_card_of_another_version_is_one_sentence(values):
    with pytest.raises(CheckpointError, match="tune them again with python -m recipes.english.tune"):
        weights_for("lexicon", Weights(), {"weights": {"lexicon": values}})


def test_weights_on_the_card_change_what_the_search_finds():
    model, _ = load_network()
    rows = np.random.default_rng(1).dirichlet(np.full(len(model.options.phonemes) + 1, 0.1), 40).astype(np.float32)
    phonemes, letters = np.log(rows + 1e-4), np.full((40, len(model.alphabet)), -3.0, np.float32)

    def score(card: dict, weights: Weights = Weights()) -> float:
        options = DecoderOptions(beam=16, weights=replace(weights, letters=0.0, rnn=0.0))
        return Decoder(model, card, options)(letters, phonemes)[0].score

    card = {"weights": {"lexicon": {"lm": 0.3, "word": 2.0}}}
    assert score(card) == score({}, Weights(lm=0.3, word=2.0)) != score({})
    assert score(card, Weights(lm=1.1, word=0.0)) == score({}, Weights(lm=1.1, word=0.0))


def test_texts_that_the_recurrent_model_is_not_asked_about_stay_behind(monkeypatch):
    model, card = load_network()
    rows = np.random.default_rng(2).dirichlet(np.full(len(model.options.phonemes) + 1, 0.1), 40).astype(np.float32)
    phonemes, letters = np.log(rows + 1e-4), np.full((40, len(model.alphabet)), -3.0, np.float32)
    decoder, asked = Decoder(model, card, DecoderOptions(weights=Weights(letters=0.0, rnn=0.5))), []

    def far_less_likely(texts: list[str]) -> list[float]:
        asked.extend(texts)
        return [-1000.0 - i for i in range(len(texts))]

    monkeypatch.setattr("asr.search.decoder.MAX_SCORE_GAP_LN", 2.0)
    decoder._rnn = SimpleNamespace(ln_probability=far_less_likely)
    found = decoder(letters, phonemes)
    assert 1 < len(asked) < len(found) and {h.text for h in found[: len(asked)]} == set(asked)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


# tuning


def candidates(*rows: tuple[int, float, float]) -> Candidates:
    wrong, scores, letters = np.array(rows).T
    return Candidates(wrong, scores, {"letters": letters})


def test_judges_get_the_weight_that_leaves_the_fewest_errors():
    lists = [candidates((2, -10.0, -50.0), (0, -20.0, -10.0)), candidates((0, -10.0, -25.0), (1, -20.0, -10.0))]
    risk, best = tune.judged(lists, Weights(letters=0.1, prior=0.5), ("letters", "rnn"))
    assert best in (Weights(letters=0.4, prior=0.5), Weights(letters=0.5, prior=0.5))  # between 1/4 and 2/3
    assert [c.errors(best) for c in lists] == [0, 0] and risk < 0.3 < sum(c.risk(Weights(letters=0.2)) for c in lists)
    assert tune.judged(lists, best, ()) == (risk, best)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-900, 0), st.floats(-900, 0)), min_size=1, max_size=9))
def test_the_risk_lies_among_the_errors_of_the_candidates(rows):
    found, wrong = candidates(*rows), [row[0] for row in rows]
    assert min(wrong) - 1e-9 <= found.risk(Weights(letters=0.5)) <= max(wrong) + 1e-9
    assert found.errors(Weights(letters=0.5)) in wrong


def test_the_climb_ends_where_no_step_saves_errors():
    def scored(weights: Weights) -> tuple[int, Weights]:
        return round(100 * (abs(weights.lm - 0.8) + abs(weights.word + 1))), replace(weights, letters=0.7)

    assert tune.climb(Weights(lm=1.1, word=0.0, letters=0.1), scored) == Weights(lm=0.8, word=-1.0, letters=0.7)
    assert tune.climb(Weights(lm=0.1, word=-1.0), lambda w: (round(100 * w.lm), w)).lm == 0.1  # never 0


@pytest.fixture
def command(tmp_path, monkeypatch):
    def call(*more: str) -> Path:
        path = tmp_path / "model.safetensors"
        if not path.exists():
            shutil.copy(locate("english"), path)
            update_card(path, {"weights": {"letters": {"lm": 0.5}}})
        arguments = ["tune", str(CLIPS), "--model", str(path), "--every", "3", "--beam", "4", "--only", "letters alone"]
        monkeypatch.setattr("sys.argv", [*arguments, *more])
        tune.main()
        return path

    return call


def test_the_command_leaves_a_card_that_searches_use(command, capsys):
    before, card = load_network(command("--dry-run"))
    assert card["weights"] == {"letters": {"lm": 0.5}}
    path = command()
    out = capsys.readouterr()
    assert "| letters alone | prior " in out.out and "without attention" in out.err
    after, card = load_network(path)
    assert all((a == b).all() for a, b in zip(before.state_dict().values(), after.state_dict().values()))
    assert card["weights"]["letters"] == {"lm": 0.5} and set(card["weights"]["letters alone"]) == {"prior", "attention"}
    decoder = asr.load(path, asr.RecognizerOptions(asr.DecoderOptions(lm=False))).decoder
    assert decoder.weights.given == card["weights"]["letters alone"]
    assert asr.load(path, asr.RecognizerOptions(asr.DecoderOptions(lexicon=False))).decoder.weights.lm == 0.5


def test_the_command_without_files_is_one_sentence(command, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tune", "nowhere.jsonl"])
    with pytest.raises(SystemExit, match="tune: .*nowhere.jsonl"):
        tune.main()
    monkeypatch.setattr("sys.argv", ["tune", str(CLIPS), "--model", "klingon"])
    with pytest.raises(SystemExit, match="tune: no model called"):
        tune.main()
