"""Training by two processes: as one process over both batches; no data shared; a killed rank comes back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_training import MODEL, Run, contents, options, prepare, rows, weights, write_corpus

from asr.training import acoustic, fit
from asr.training.augment import AugmentOptions
from asr.training.examples import RunProgress, batches
from asr.training.fit import Muon

UPDATES = 7
SCRIPT = """
import sys
sys.path[:0] = sys.argv[1], sys.argv[1] + "/.."
import test_distributed
test_distributed.one_rank(*sys.argv[2:])
"""


def two_ranks(corpus: Path) -> Run:
    return prepare(corpus, options(UPDATES, batch_seconds=1.5, evaluate_every=2), MODEL, AugmentOptions())


def one_rank(corpus: str, out: str, fatal: str) -> None:
    """A process of two: it trains, and notes what it heard; the first time it is killed before a ``fatal`` update."""
    torch.set_num_threads(1)
    fit.start_distributed()
    rank, folder, run = fit.distributed.get_rank(), Path(out), two_ranks(Path(corpus))
    build, epoch, heard, killed = run.examples.build, run.examples.epoch, [], folder / "killed"
    epochs = []

    def counted(number: int, *others: object) -> list:
        epochs.append(number)
        return epoch(number, *others)

    def noted(batch: list[list[int]], rng: np.random.Generator) -> tuple:
        if rank == 1 and len(heard) == int(fatal) and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        heard.append((epochs[-1], [i for example in batch for i in example]))
        return build(batch, rng)

    run.examples.build, run.examples.epoch = noted, counted
    run.train(folder / "run")
    save_file(run.model.state_dict(), folder / f"weights-{rank}")
    (folder / f"heard-{rank}.json").write_text(json.dumps(heard))


def torchrun(corpus: Path, out: Path, fatal: int) -> Path:
    (out / "script.py").write_text(SCRIPT)
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", str(out / "script.py"), tests, str(corpus), str(out), str(fatal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3_000:]
    return out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def both(corpus, tmp_path_factory) -> Path:
    """What two processes leave that nobody disturbs."""
    return torchrun(corpus, tmp_path_factory.mktemp("both"), -1)


def test_two_processes_come_to_the_weights_of_one_with_both_batches(corpus, both):
    run = two_ranks(corpus)
    model, o = run.model.train(), run.options
    optimizer = Muon(model, o.learning_rate, o.weight_decay)
    progress, plan = RunProgress(), []
    for update in range(UPDATES):
        plan = run.examples.next_plan(plan, o.stages[0], 0, progress, 2)
        for rank in (0, 1):
            batch = run.examples.build(plan[progress.batch + rank], np.random.default_rng([o.seed, update, rank]))
            acoustic.losses(model, o, (batch, None))[0].backward()
        for parameter in model.parameters():
            parameter.grad /= 2
        fit.step(model, optimizer, acoustic.learning_rate(update, o), o.clip)
        progress.batch += 2
    ranks, begun = [load_file(both / f"weights-{rank}") for rank in (0, 1)], two_ranks(corpus).model.state_dict()
    for name, alone in model.state_dict().items():
        torch.testing.assert_close(ranks[1][name], weights(both / "run")[name], atol=0, rtol=0)
        torch.testing.assert_close(ranks[1][name], alone, atol=1e-5, rtol=1e-4)
    assert not torch.equal(begun["head.weight"], ranks[1]["head.weight"])  # they did train
    assert [r["update"] for r in rows(both / "run")] == [2, 4, 6, 7]  # one rank writes the log


def test_no_two_ranks_hear_the_same_in_an_epoch(both):
    ranks = [json.loads((both / f"heard-{rank}.json").read_text()) for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1]) == UPDATES
    for epoch in {number for number, _ in ranks[0]}:
        heard = [[i for number, batch in rank if number == epoch for i in batch] for rank in ranks]
        assert all(heard) and sum(map(len, heard)) == len(set(heard[0]) | set(heard[1]))


@given(st.lists(st.floats(0.5, 9), min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 99))
def test_shards_of_any_number_of_ranks_are_apart(durations, world, seed):
    examples = [[i] for i in range(len(durations))]
    plan = list(batches(examples, np.array(durations), 10, np.random.default_rng(seed), world))
    whole = len(plan) // world * world
    shards = [{i for batch in plan[rank:whole:world] for [i] in batch} for rank in range(world)]
    assert sum(map(len, shards)) == len(set.union(*shards)) == sum(len(batch) for batch in plan[:whole])
    assert sorted(i for batch in plan for [i] in batch) == list(range(len(durations)))


def test_a_rank_that_is_killed_is_started_again_and_the_weights_are_the_same(corpus, both, tmp_path):
    torchrun(corpus, tmp_path, fatal=5)  # after the state of update 4
    assert (tmp_path / "killed").exists() and len(json.loads((tmp_path / "heard-0.json").read_text())) == 3
    for name in ("state.safetensors", "model.safetensors"):
        assert contents(tmp_path / "run" / name) == contents(both / "run" / name)
