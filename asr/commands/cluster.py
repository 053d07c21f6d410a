"""`asr transcribe --cluster`: the files shared out among the workers of a dask.distributed cluster.

Workers read the files themselves, by the same paths; results come back here and are written here. A worker that dies
has its files done by others; a file that fails is tried again, by another worker where there is one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from asr import __version__, audio
from asr.errors import Error
from asr.model.checkpoint import MODELS
from asr.recognizer import Recognizer, RecognizerOptions, load
from asr.transcript import Transcript

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = 10.0  # s to wait for the scheduler, and for its first worker
TRIES = 3  # of a file that fails
WINDOW = 1_000  # files handed out at a time
SILENCE_S = 5.0  # s without any result after which it is asked whether the workers are still there
_ONE = Lock()  # a worker does one file at a time, however many threads it has

Outcome = Transcript | audio.AudioError


@dataclass(frozen=True)
class Order:
    """All that a worker needs to do what this machine would do."""

    model: str
    options: RecognizerOptions
    threads: int | None
    wanted: audio.Wanted = audio.Wanted()
    raw: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Task:
    """A file that has been handed out."""

    number: int  # in the order given
    source: str
    tried: tuple[str, ...] = ()  # the workers that have failed with it
    where: frozenset[str] = frozenset()  # those that may do it; empty: any


class Cluster:
    """A connection to a scheduler whose workers can do the work."""

    def __init__(self, client: Client, order: Order):
        self._client, self._order = client, order

    def over(self, sources: Iterable[str], in_order: bool) -> Iterator[tuple[str, Outcome]]:
        """Every source once, with what came of it: those that failed last of all."""
        failed: list[tuple[str, Outcome]] = []
        try:
            found = self._outcomes(enumerate(sources))
            for _, source, outcome in _sorted(found) if in_order else found:
                if isinstance(outcome, Transcript):
                    yield source, outcome
                else:
                    failed.append((source, outcome))
        finally:
            _close(self._client)
        yield from failed

    def _outcomes(self, sources: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, Outcome]]:
        """In the order in which they come: each source with its number."""
        from distributed import CancelledError, wait

        running = dict(self._start(Task(*one)) for one in islice(sources, WINDOW))
        while running:
            try:
                done = wait(list(running), timeout=SILENCE_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                running = dict(self._kept(future, task) for future, task in running.items())
                continue
            except CancelledError:  # the scheduler has gone
                done = {future for future in running if future.cancelled()}
            for future in done:
                task = running.pop(future)
                outcome, worker = _outcome(future, task.source)
                if worker and len(task.tried) + 1 < TRIES and self._connected:
                    running.update([self._start(replace(task, tried=(*task.tried, worker)))])
                    continue
                running.update(self._start(Task(*one)) for one in islice(sources, 1 if self._connected else 0))
                yield task.number, task.source, outcome
        yield from ((number, source, _gone(source)) for number, source in sources)

    @property
    def _connected(self) -> bool:
        return self._client.status == "running"

    def _start(self, task: Task) -> tuple[Future, Task]:
        """By any worker; one that failed before by those that have not tried it, where there are some."""
        others = sorted(set(self._client.nthreads()) - set(task.tried)) if task.tried else []
        where = {"workers": others} if others else {}
        future = self._client.submit(transcribe, self._order, os.path.abspath(task.source), pure=False, **where)
        return future, replace(task, where=frozenset(others))

    def _kept(self, future: Future, task: Task) -> tuple[Future, Task]:
        """The same; a task whose workers have all gone is given to any."""
        if not task.where or not self._connected or task.where & set(self._client.nthreads()):
            return future, task
        future.cancel()
        return self._start(task)


def _outcome(future: Future, source: str) -> tuple[Outcome, str]:
    """What came of a file, and the worker that failed with it and may be replaced by another one, or ""."""
    from distributed import CancelledError, KilledWorker

    try:
        worker, found = future.result()
    except KilledWorker:
        return audio.AudioError(f"{source} was given up: worker after worker died while it had it"), ""
    except CancelledError:
        return _gone(source), ""
    except Exception as error:  # of whatever kind: it was raised on another machine
        reason = f"{type(error).__name__}: {_first_line(error)}"
        return audio.AudioError(f"{source} failed on a worker: {reason}"), "any"
    if isinstance(found, Transcript):
        return replace(found, file=source, warning=found.warning.replace(os.path.abspath(source), source)), ""
    return audio.AudioError(found.replace(os.path.abspath(source), source)), worker


def _gone(source: str) -> audio.AudioError:
    return audio.AudioError(f"{source} is not done: the scheduler has gone; begin again with --resume")


def _sorted(outcomes: Iterable[tuple[int, str, Outcome]]) -> Iterator[tuple[int, str, Outcome]]:
    """By their numbers, each as soon as it is its turn."""
    ready: dict[int, tuple[int, str, Outcome]] = {}
    turn = 0
    for outcome in outcomes:
        ready[outcome[0]] = outcome
        while turn in ready:
            yield ready.pop(turn)
            turn += 1


def connect(address: str, order: Order) -> Cluster:
    """To the scheduler at HOST:PORT, whose workers have loaded the model by then. Raises Error."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise Error("--cluster needs dask.distributed: pip install 'asr[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in sentences
    try:
        # A Client waits without end for a first answer, and one that failed to start can lock up those after it.
        answers = asyncio.run(_answers(address))
        client = Client(address, timeout=CONNECT) if answers else None
    except OSError:
        client = None
    if client is None:
        raise Error(f"no scheduler answers at {address}: start one with `dask scheduler` and give the address it shows")
    try:
        _prepare(client, order, address)
    except BaseException:
        _close(client)
        raise
    return Cluster(client, order)


async def _answers(address: str) -> bool:
    """Whether a scheduler says within CONNECT that it is one."""
    from distributed import Security, rpc

    try:
        async with asyncio.timeout(CONNECT):
            scheduler = rpc(address, connection_args=Security().get_connection_args("client"))
            return (await scheduler.identity(n_workers=0)).get("type") == "Scheduler"
    except Exception:  # of whatever kind: who answers may be anybody
        return False


def _close(client: Client) -> None:
    with suppress(TimeoutError):
        client.close(CONNECT)


def model_path(model: str) -> str:
    """A model as workers in other folders find it."""
    packaged = (MODELS / f"{model}.safetensors").is_file() and not os.path.isdir(model)
    return os.path.abspath(model) if os.path.exists(model) and not packaged else model


def _prepare(client: Client, order: Order, address: str) -> None:
    """See to it that scheduler and workers have this package, and the workers the model. Raises Error."""
    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        raise Error(f"the scheduler {address} has no workers: start some with `dask worker {address}`") from None
    version = "asr:__version__"  # asked for by the standard library's means: the package may be missing there
    _same({f"the scheduler {address}": _or_error(client.run_on_scheduler, pkgutil.resolve_name, version)})
    found = client.run(pkgutil.resolve_name, version, on_error="return")
    _same({f"the worker {worker}": other for worker, other in found.items()})
    for worker, error in client.run(prepare, order, on_error="return").items():
        if error:
            raise Error(f"the worker {worker} cannot begin: {_first_line(error)}")


def _or_error(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _same(versions: dict[str, str | Exception]) -> None:
    for who, version in versions.items():
        if isinstance(version, ImportError):
            raise Error(f"{who} has no package `asr`: install asr {__version__} in its environment")
        if version != __version__:
            raise Error(f"{who} has asr {version}, this machine {__version__}: install the same on both")


def _first_line(error: object) -> str:
    return next(iter(str(error).splitlines()), "no reason given")


def prepare(order: Order) -> None:
    """On a worker: load the model."""
    with _ONE:
        _recognizer(order)


def transcribe(order: Order, path: str) -> tuple[str, Transcript | str]:
    """On a worker: its address, and the transcript or the sentence that says why there is none."""
    from distributed import get_worker

    with _ONE:
        try:
            recording = audio.Recording(path, order.wanted, order.raw)
            return get_worker().address, _recognizer(order).transcribe(recording)
        except audio.AudioError as error:
            return get_worker().address, str(error)


@lru_cache(maxsize=1)
def _recognizer(order: Order) -> Recognizer:
    return load(order.model, order.options, order.threads)
