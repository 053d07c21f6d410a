"""`asr transcribe --cluster`: the files shared out among the workers of a dask.distributed cluster.

Workers read the files themselves, by the same paths; results come back here and are written here. A worker that dies
has its files done by others; a file that fails is tried again, by other workers where there are some.
"""

from __future__ import annotations

import logging
import os
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

from asr import __version__, audio
from asr.commands.terminal import say
from asr.errors import Error
from asr.model.checkpoint import MODELS
from asr.recognizer import Recognizer, RecognizerOptions, load
from asr.transcript import Transcript

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = 10.0  # s to wait for the scheduler, and for its first worker
TRIES = 3  # of a file that fails
WINDOW = 1_000  # files handed out at a time
SILENCE = 5.0  # s without any result before it is asked whether there are workers left
_ONE = Lock()  # a worker does one file at a time, however many threads it has

Job = tuple[str, str | None]  # an input, and the file that its result goes to; None: standard output


class ClusterError(Error):
    """A cluster cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Order:
    """All that a worker needs to build the recogniser that this machine would use."""

    model: str
    options: RecognizerOptions
    threads: int | None


@dataclass
class Task:
    number: int  # in the order given
    job: Job
    tried: set[str] = field(default_factory=set)  # addresses of workers
    where: list[str] = field(default_factory=list)  # workers that may do it now; empty: any
    tries: int = 0
    result: Transcript | None = None
    error: str = ""

    def transcribe(self, source: str, _: object = None) -> Transcript:
        """What Recognizer.transcribe would give on this machine. Raises asr.audio.files.AudioError."""
        if self.result is None:
            raise audio.AudioError(self.error)
        own = self.result.warning.replace(os.path.abspath(source), source)
        return replace(self.result, file=source, warning=own)


class Cluster:
    """A connection to a scheduler whose workers can do the work."""

    def __init__(self, client: Client, order: Order):
        self._client, self._order = client, order
        self._done: SimpleQueue[Future] = SimpleQueue()

    def over(self, jobs: Iterable[Job], in_order: bool) -> Iterator[tuple[Task, str, str | None]]:
        """Every job once, with the task that has its result: those that failed last of all."""
        failed: list[Task] = []
        with self._client:
            tasks = self._finished(Task(number, job) for number, job in enumerate(jobs))
            for task in _in_order(tasks) if in_order else tasks:
                if task.error:
                    failed.append(task)
                else:
                    yield task, *task.job
        yield from ((task, *task.job) for task in failed)

    def _finished(self, tasks: Iterator[Task]) -> Iterator[Task]:
        running = {self._start(task): task for task in islice(tasks, WINDOW)}
        while running:
            future = self._next(running)
            task = running.pop(future)
            self._settle(task, future)
            if task.error and task.tries < TRIES and self._connected:
                running[self._start(task)] = task
                continue
            if self._connected:
                running.update((self._start(another), another) for another in islice(tasks, 1))
            yield task
        for task in tasks:
            task.error = _gone(task)
            yield task

    @property
    def _connected(self) -> bool:
        return self._client.status == "running"

    def _start(self, task: Task) -> Future:
        source, task.tries, task.error = task.job[0], task.tries + 1, ""
        task.where = sorted(set(self._client.nthreads()) - task.tried) if task.tried else []
        where = {"workers": task.where} if task.where else {}
        future = self._client.submit(transcribe, self._order, os.path.abspath(source), pure=False, **where)
        future.add_done_callback(self._done.put)
        return future

    def _next(self, running: dict[Future, Task]) -> Future:
        """The next future that is done; in the meantime it is seen to that there are workers for all."""
        told = False
        while True:
            try:
                future = self._done.get(timeout=SILENCE)
            except Empty:
                workers = set(self._client.nthreads()) if self._connected else set()
                if not workers and not told:
                    told = True
                    say("no worker is left: waiting for another one" if self._connected else "the scheduler is silent")
                for old, task in [(f, t) for f, t in running.items() if t.where and not workers & set(t.where)]:
                    old.cancel()
                    task.tries -= 1
                    running[self._start(running.pop(old))] = task
            else:
                if future in running:  # and was not cancelled
                    return future

    def _settle(self, task: Task, future: Future) -> None:
        """Take over what came of a try."""
        from distributed import CancelledError, KilledWorker

        source = task.job[0]
        try:
            worker, found = future.result()
        except KilledWorker:
            task.tries, task.error = TRIES, f"{source} was given up: worker after worker died while it had it"
        except CancelledError:
            task.tries, task.error = TRIES, _gone(task)
        except Exception as error:  # of whatever kind: it was raised on another machine
            task.error = f"{source} failed on a worker: {type(error).__name__}: {_first_line(error)}"
        else:
            task.tried.add(worker)
            task.result = found if isinstance(found, Transcript) else None
            task.error = "" if task.result else found.replace(os.path.abspath(source), source)


def _gone(task: Task) -> str:
    return f"{task.job[0]} is not done: the scheduler has gone; begin again with --resume"


def _in_order(tasks: Iterable[Task]) -> Iterator[Task]:
    ready: dict[int, Task] = {}
    turn = 0
    for task in tasks:
        ready[task.number] = task
        while turn in ready:
            yield ready.pop(turn)
            turn += 1


def connect(address: str, model: str, options: RecognizerOptions, threads: int | None) -> Cluster:
    """To the scheduler at HOST:PORT, whose workers have loaded the model by then. Raises ClusterError."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ClusterError("--cluster needs dask.distributed: pip install 'asr[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in sentences
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError):
        raise ClusterError(
            f"no scheduler answers at {address}: start one with `dask scheduler` and give the address it shows"
        ) from None
    try:
        order = Order(_path(model), options, threads)
        _prepare(client, order, address)
    except BaseException:
        client.close()
        raise
    return Cluster(client, order)


def _path(model: str) -> str:
    """A model as workers in other folders find it."""
    packaged = (MODELS / f"{model}.safetensors").is_file() and not os.path.isdir(model)
    return os.path.abspath(model) if os.path.exists(model) and not packaged else model


def _prepare(client: Client, order: Order, address: str) -> None:
    """See to it that scheduler and workers have this package, and the workers the model. Raises ClusterError."""
    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        raise ClusterError(f"the scheduler {address} has no workers: start some with `dask worker {address}`") from None
    version = "asr:__version__"  # asked for by the standard library's means: the package may be missing there
    _same({f"the scheduler {address}": _or_error(client.run_on_scheduler, pkgutil.resolve_name, version)})
    found = client.run(pkgutil.resolve_name, version, on_error="return")
    _same({f"the worker {worker}": other for worker, other in found.items()})
    for worker, error in client.run(prepare, order, on_error="return").items():
        if error:
            raise ClusterError(f"the worker {worker} cannot begin: {_first_line(error)}")


def _or_error(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _same(versions: dict[str, str | Exception]) -> None:
    for who, version in versions.items():
        if isinstance(version, ImportError):
            raise ClusterError(f"{who} has no package `asr`: install asr {__version__} in its environment")
        if version != __version__:
            raise ClusterError(f"{who} has asr {version}, this machine {__version__}: install the same on both")


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
            return get_worker().address, _recognizer(order).transcribe(path)
        except audio.AudioError as error:
            return get_worker().address, str(error)


@lru_cache(maxsize=1)
def _recognizer(order: Order) -> Recognizer:
    return load(order.model, order.options, order.threads)
