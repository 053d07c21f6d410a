"""The acoustic model over streams: any portions, alone or among others, give the file's log-probabilities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio.features import LogMelOptions
from asr.model.checkpoint import RECEPTIVE_FIELD, STRIDES, ModelOptions
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel
from asr.model.network.recurrent import KINDS
from asr.model.streaming import Chunk, Posteriors, StreamingEncoder

N_MELS = 20
LATENCIES = [Latency(2, 6), Latency(4, 3), Latency(3, 0), Latency(1, 5), Latency(64, 8)]


def make(kind: str = "gru", phonemes: tuple[str, ...] = ("AA", "B"), stride: int = 4) -> CTCModel:
    torch.manual_seed(3)
    sizes = {"layers": 3, "hidden": 8, "channels": 3, "stride": stride}
    model = CTCModel(ModelOptions(LogMelOptions(N_MELS), phonemes=phonemes, kind=kind, **sizes)).eval()
    model.mean.uniform_(-1, 1)
    model.deviation.uniform_(0.5, 2)
    return model


MODEL = make()


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, N_MELS)).astype(np.float32)


@torch.inference_mode()
def whole(model: CTCModel, x: np.ndarray, latency: Latency) -> Posteriors:
    letters, phonemes, _ = model.both(torch.from_numpy(x)[None], torch.tensor([len(x)]), latency)
    return Posteriors(letters[0].numpy(), None if phonemes is None else phonemes[0].numpy())


def streamed(encoder: StreamingEncoder, chunks: list[np.ndarray]) -> Posteriors:
    state, found = encoder.start(), []
    for i, x in enumerate(chunks):
        [(posteriors, state)] = encoder.step([Chunk(x, state, i == len(chunks) - 1)])
        found.append(posteriors)
    return joined(found)


def joined(found: list[Posteriors]) -> Posteriors:
    letters, phonemes = zip(*found)
    return Posteriors(np.concatenate(letters), None if phonemes[0] is None else np.concatenate(phonemes))


def same(found: Posteriors, wanted: Posteriors) -> None:
    for a, b in zip(found, wanted):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, atol=1e-4)


@settings(max_examples=60)
@given(st.integers(1, 150), st.lists(st.integers(0, 150), max_size=6), st.sampled_from(LATENCIES))
def test_any_cut_gives_the_log_probabilities_of_the_whole(count, cuts, latency):
    x = frames(count)
    chunks = np.split(x, sorted(min(c, count) for c in cuts))
    same(streamed(StreamingEncoder(MODEL, latency), chunks), whole(MODEL, x, latency))


@pytest.mark.parametrize("phonemes", [(), ("AA",)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer(kind, phonemes):
    model, x = make(kind, phonemes), frames(90)
    same(streamed(StreamingEncoder(model, Latency(2, 6)), np.split(x, [1, 7, 40, 41])), whole(model, x, Latency(2, 6)))


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.lists(st.integers(0, 90), max_size=4)), min_size=1, max_size=5),
    st.sampled_from(LATENCIES),
)
def test_among_other_streams_as_alone(streams, latency):
    """Streams of all lengths in one step, each with portions of its own."""
    encoder, wholes = StreamingEncoder(MODEL, latency), [frames(n, seed) for seed, (n, _) in enumerate(streams)]
    chunks = [np.split(x, sorted(min(c, len(x)) for c in cuts)) for x, (_, cuts) in zip(wholes, streams)]
    states, found = [encoder.start() for _ in streams], [[] for _ in streams]
    for k in range(max(map(len, chunks))):
        here = [i for i, p in enumerate(chunks) if k < len(p)]
        steps = encoder.step([Chunk(chunks[i][k], states[i], k == len(chunks[i]) - 1) for i in here])
        for i, (posteriors, states[i]) in zip(here, steps):
            found[i].append(posteriors)
    for some, x in zip(found, wholes):
        same(joined(some), whole(MODEL, x, latency))


def test_a_state_is_a_value():
    encoder, x = StreamingEncoder(MODEL, Latency(2, 6)), frames(100)
    [(start, state)] = encoder.step([Chunk(x[:50], encoder.start())])
    before = [np.asarray(t).copy() for t in (state.frames, state.hidden, *state.layers)]
    ends = [encoder.step([Chunk(x[50:], state, True)])[0][0] for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(before, (state.frames, state.hidden, *state.layers)))
    for end in ends:
        same(joined([start, end]), whole(MODEL, x, Latency(2, 6)))


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("latency", LATENCIES)
def test_an_output_comes_as_soon_as_its_window_is_complete(latency, stride):
    encoder = StreamingEncoder(make(stride=stride), latency)
    needed = stride * (latency.chunk + latency.ahead - 1) + RECEPTIVE_FIELD
    [(early, state)] = encoder.step([Chunk(frames(needed - 1), encoder.start())])
    [(posteriors, _)] = encoder.step([Chunk(frames(1), state)])
    assert len(early.letters) == 0 and len(posteriors.letters) == latency.chunk


def test_a_state_does_not_grow():
    encoder = StreamingEncoder(MODEL, Latency(2, 6))
    state = encoder.start()
    for _ in range(50):
        [(_, state)] = encoder.step([Chunk(frames(33), state)])
        assert len(state.frames) < RECEPTIVE_FIELD and len(state.hidden) < 8


def test_what_lies_ahead_is_what_a_longer_chunk_says():
    """After every step: of the frames up to the window's end, from the same forward state."""
    latency, x = Latency(2, 6), frames(4 * 7 + RECEPTIVE_FIELD)
    for model in (MODEL, make("lstm", ())):
        short, long = StreamingEncoder(model, latency), StreamingEncoder(model, Latency(8, 0))
        [(posteriors, state)] = short.step([Chunk(x[:-1], short.start())])
        assert not len(posteriors.letters) and state.ahead is None
        [(posteriors, state)] = short.step([Chunk(x[-1:], state)])
        [(wanted, _)] = long.step([Chunk(x, long.start())])
        same(joined([posteriors, state.ahead]), wanted)
        [(_, later)] = short.step([Chunk(x[:1], state)])  # no window more
        same(later.ahead, state.ahead)
