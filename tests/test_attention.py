"""The attention decoder: its probabilities, its search against all texts, what it learns."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import MODEL as TONES
from test_training import options, prepare, rows, write_corpus
from torch import nn

from asr.attention.decoder import AttentionDecoder, Memory, SpellOptions, letter_frames, spell
from asr.attention.joint import JointModel, load_joint
from asr.attention.search import COVERED, EOS
from asr.audio.features import LogMelOptions
from asr.model.checkpoint import AttentionOptions, ModelOptions
from asr.text import Alphabet
from asr.training.acoustic import losses
from asr.training.config import Stage, TrainOptions
from asr.training.examples import Targeted
from recipes.attention.train import greedy

torch.set_num_threads(1)
LETTERS, SIZE = Alphabet(" ab"), 5
SMALL = AttentionOptions(hidden=8, memory=6, energy=5, embedding=4, reach=2, dropout=0.0, corruption=0.0, smoothing=0.0)
MODEL = ModelOptions(LogMelOptions(n_mels=20), tuple(" ab"), (), "gru", 1, 6, 3, 0.0, SMALL)


def make(seed: int = 1) -> AttentionDecoder:
    """Of random weights, large enough for opinions."""
    torch.manual_seed(seed)
    decoder = AttentionDecoder(SIZE, LETTERS, SMALL).eval()
    for p in decoder.parameters():
        nn.init.normal_(p, std=0.7)
    return decoder


def texts_up_to(most: int) -> list[str]:
    return ["".join(t) for n in range(most + 1) for t in itertools.product(" ab", repeat=n)]


# probabilities


def test_weights_are_a_distribution_over_the_frames_that_are_there():
    decoder, lengths = make(), torch.tensor([7, 4])
    memory = decoder.remember(torch.randn(2, 7, SIZE), lengths)
    log_probs, weights = decoder(memory, torch.tensor([[EOS, 2, 3], [EOS, 1, 1]]))
    assert log_probs.shape == (2, 3, 4) and weights.shape == (2, 3, 7)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 3))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    assert (weights[1, :, 4:] == 0).all() and (weights[1, :, :4] > 0).all()


def test_probabilities_of_all_texts_sum_to_one():
    decoder, hidden = make(), torch.randn(6, SIZE)
    finished = sum(map(math.exp, decoder.ln_probability(hidden, texts_up_to(3))))
    memory, longer = decoder.remember(hidden[None], torch.tensor([6])), 0.0
    for text in itertools.product((1, 2, 3), repeat=4):  # texts that go on
        log_probs, _ = decoder(memory, torch.tensor([[EOS, *text[:-1]]]))
        longer += math.exp(sum(log_probs[0, i, c].item() for i, c in enumerate(text)))
    assert finished + longer == pytest.approx(1, abs=1e-5) and finished > 0.1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(" ab", max_size=6), min_size=1, max_size=5), st.integers(1, 9))
def test_texts_are_scored_together_as_alone(texts, frames):
    decoder, hidden = make(), torch.randn(frames, SIZE)
    alone = [decoder.ln_probability(hidden, [t])[0] for t in texts]
    assert decoder.ln_probability(hidden, texts) == pytest.approx(alone, abs=1e-4)


def test_padding_changes_nothing():
    decoder, hidden, lengths = make(), torch.randn(2, 9, SIZE), torch.tensor([9, 5])
    spelled = greedy(decoder, hidden, lengths)
    assert spelled[1] == greedy(decoder, hidden[1:, :5], lengths[1:])[0] and spelled[0] != spelled[1]
    letters, spoken = [[2, 3, 1], [3]], [[0, 4, 8], [2]]
    both = decoder.loss(hidden, lengths, letters, spoken)
    one = decoder.loss(hidden[:1], lengths[:1], letters[:1], spoken[:1])
    other = decoder.loss(hidden[1:, :5], lengths[1:], letters[1:], spoken[1:])
    torch.testing.assert_close(both, (9 * one + 5 * other) / 14)


def test_loss_without_a_guide_is_minus_ln_probability():
    decoder, hidden = make(), torch.randn(1, 6, SIZE)
    loss = decoder.loss(hidden, torch.tensor([6]), [[2, 1, 3]])
    assert loss.item() * 6 == pytest.approx(-decoder.ln_probability(hidden[0], ["a b"])[0], rel=1e-4)


def test_no_sound_says_nothing():
    decoder, nothing = make(), torch.zeros(0, SIZE)
    empty, text = decoder.ln_probability(nothing, ["", "a"])
    assert empty == 0 and text < -1e5 and spell(decoder, nothing) == []
    assert decoder.ln_probability(torch.randn(3, SIZE), []) == []
    with pytest.raises(ValueError, match="'z'"):
        decoder.ln_probability(torch.randn(3, SIZE), ["az"])


# search


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("coverage", [0.0, 0.8])
def test_a_wide_search_finds_the_best_of_all_texts(seed, coverage):
    decoder, hidden = make(seed), 2 * torch.randn(3, SIZE)
    wide = SpellOptions(beam=200, coverage=coverage, width=math.inf)
    memory, scores = decoder.remember(hidden[None], torch.tensor([3])), {}
    texts = texts_up_to(3)
    for text, ln_p in zip(texts, decoder.ln_probability(hidden, texts)):
        _, weights = decoder(memory, torch.tensor([[EOS, *LETTERS.encode(text)]]))
        scores[text] = ln_p + coverage * int((weights[0].sum(0) > COVERED).sum())
    best = spell(decoder, hidden, wide)[0]
    text = LETTERS.decode(best.symbols)
    del scores[""]  # whoever asks has heard something
    assert text == max(scores, key=scores.get) and best.score == pytest.approx(scores[text], abs=1e-4)
    assert best.ln_probability == pytest.approx(decoder.ln_probability(hidden, [text])[0], abs=1e-4)
    assert best.map.shape == (len(text) + 1, 3)
    assert best.map.sum(1) == pytest.approx(np.ones(len(text) + 1), abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy(seed):
    decoder, hidden = make(seed), torch.randn(8, SIZE)
    [best] = spell(decoder, hidden, SpellOptions(beam=1, coverage=0.0))
    assert list(best.symbols) == greedy(decoder, hidden[None], torch.tensor([8]))[0]


def test_n_best_are_different_texts_best_first():
    found = spell(make(), torch.randn(5, SIZE), SpellOptions(beam=20, width=50.0), n_best=5)
    assert len({s.symbols for s in found}) == len(found) == 5
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


def test_one_that_never_ends_is_stopped_by_the_audios_length():
    decoder = make()
    with torch.no_grad():
        decoder.output.bias[EOS] = -100.0
    for share, letters in ((1.0, 8), (0.5, 4)):
        [best] = spell(decoder, torch.randn(8, SIZE), SpellOptions(beam=3, letters_per_frame=share))
        assert len(best.symbols) == letters
    assert len(greedy(decoder, torch.randn(1, 8, SIZE), torch.tensor([8]))[0]) == 8


# learning


def sentences(count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, list, list]:
    """Frames that show a letter each, with noise around them; a pause now and then."""
    hidden, letters, spoken = [], [], []
    for _ in range(count):
        text = [int(c) for c in rng.integers(1, 4, rng.integers(1, 5))]
        at = np.cumsum(rng.integers(4, 8, len(text)))
        frames = 0.1 * rng.standard_normal((at[-1] + 3, SIZE)).astype(np.float32)
        frames[at, text] += 1
        hidden.append(torch.from_numpy(frames))
        letters.append(text)
        spoken.append(at.tolist())
    lengths = torch.tensor([len(h) for h in hidden])
    return nn.utils.rnn.pad_sequence(hidden, batch_first=True), lengths, letters, spoken


def test_it_learns_to_spell_and_where_to_look():
    torch.manual_seed(0)
    options = replace(SMALL, hidden=32, energy=16, memory=16, guide=1.0)
    decoder, rng = AttentionDecoder(SIZE, LETTERS, options), np.random.default_rng(0)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        decoder.loss(*sentences(16, rng)).backward()
        optimizer.step()
    hidden, lengths, letters, spoken = sentences(30, rng)
    right = sum(a == b for a, b in zip(greedy(decoder.eval(), hidden, lengths), letters))

    assert right >= 20  # of texts, none by chance
    memory, near = decoder.remember(hidden, lengths), []
    for i, (text, at) in enumerate(zip(letters, spoken)):
        _, weights = decoder(Memory(*(part[i : i + 1] for part in memory)), torch.tensor([[EOS, *text[:-1]]]))
        near += (weights[0].argmax(1) - torch.tensor(at)).abs().le(3).tolist()
    assert np.mean(near) > 0.9


def test_ctc_shows_where_a_letter_is():
    log_probs = torch.full((1, 6, 4), -9.0)
    for t, column in enumerate([0, 2, 0, 2, 3, 0]):
        log_probs[0, t, column] = -0.01
    assert letter_frames(log_probs, torch.tensor([6]), [[2, 2, 3]]) == [[1, 3, 4]]
    assert letter_frames(log_probs, torch.tensor([2]), [[2, 2, 3]]) == [[]]  # cannot be said in two frames
    assert letter_frames(log_probs, torch.tensor([6]), [[]]) == [[]]


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_ctc_and_attention_train_together(weight):
    torch.manual_seed(3)
    model = JointModel(MODEL)
    batch = Targeted(torch.randn(2, 40, 20), torch.tensor([40, 31]), [[2, 3], []], [None, None])
    loss, parts = losses(model, TrainOptions((Stage(1),), attention_weight=weight), (batch, None))
    loss.backward()
    assert parts["loss"] > 0 and parts["attention_loss"] > 0 and math.isnan(parts["phoneme_loss"])
    moved = {name for name, p in model.named_parameters() if p.grad.abs().sum() > 0}
    assert {n for n in moved if n.startswith("encoder.")} and "head.weight" in moved
    assert any(n.startswith("attention.") for n in moved) == (weight > 0)


def test_the_loop_trains_and_saves_both(tmp_path):
    run = prepare(write_corpus(tmp_path / "tones"), options(2), replace(TONES, attention=SMALL))
    run.train(tmp_path / "run")
    assert rows(tmp_path / "run")[0]["attention_loss"] > 0
    model, _ = load_joint(tmp_path / "run" / "model.safetensors")
    assert model.attention.options == SMALL
