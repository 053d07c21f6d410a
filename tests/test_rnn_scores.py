"""The recurrent language model in numpy scores texts as torch's does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from asr.language import rnn_network
from asr.language.rnn import RnnScorer, load
from asr.language.rnn_network import LanguageOptions, RnnLanguageModel, save
from asr.model.checkpoint import MODELS, CheckpointError

WORDS = ["<eos>", "<unk>", "the", "war", "of", "a", "pear", "salad", "book", "rare"]
TEXTS = st.lists(st.lists(st.sampled_from([*WORDS[2:], "unheard"]), max_size=6).map(" ".join), max_size=8)


def make(folder: Path, **options) -> tuple[RnnLanguageModel, Path]:
    torch.manual_seed(2)
    model = RnnLanguageModel(LanguageOptions(size=32, hidden=12, unlisted=7, **options), WORDS).eval()
    torch.nn.init.normal_(model.softmax.bias)
    save(model, folder / "model.safetensors", {}, half=False)
    return model, folder / "model.safetensors"


@pytest.fixture(scope="module", params=[(), (4,), (4, 7), (2, 100)], ids=str)
def both(request, tmp_path_factory) -> tuple[RnnLanguageModel, RnnScorer]:
    model, path = make(tmp_path_factory.mktemp("rnn"), bands=request.param)
    return model, load(path)


@given(TEXTS)
def test_any_texts_score_as_in_torch(both, texts):
    by_torch, by_numpy = both
    expected = [sum(scores) for scores in by_torch.ln_probabilities(texts, by_torch.options.unlisted)]
    np.testing.assert_allclose(by_numpy.ln_probability(texts), expected, atol=1e-4)


def test_the_packaged_model():
    path = MODELS / "english-rnn.safetensors"
    if not path.exists():
        pytest.skip("no recurrent language model is packaged")
    texts = ["he took part in the american war of independence", "he took part in the american wars", "snowboy", ""]
    model = rnn_network.load(path)
    wanted = [sum(scores) for scores in model.ln_probabilities(texts, model.options.unlisted)]
    np.testing.assert_allclose(load(path).ln_probability(texts), wanted, atol=1e-3)


def test_what_cannot_be_used_says_so(tmp_path):
    _, lstm = make(tmp_path, cell="lstm")
    with pytest.raises(CheckpointError, match="lstm cells"):
        load(lstm)
    save_file({"x": np.zeros(2, np.float32)}, tmp_path / "other.safetensors", {"format": "other"})
    with pytest.raises(CheckpointError, match="no recurrent language model of this toolkit"):
        load(tmp_path / "other.safetensors")
    _, path = make(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)
    with pytest.raises(CheckpointError, match="damaged"):
        load(tmp_path / "nothing.safetensors")
