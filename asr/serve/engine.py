"""The one thread in which all recognition happens, so that the event loop never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol


class Work(Protocol):
    @property
    def ready(self) -> bool:
        """There is something to do."""

    def step(self) -> None:
        """Do a little of it: a fraction of a second, and never raise."""


class Engine:
    """Takes turns between the kinds of work, so that none of them waits for more than a step of each other."""

    def __init__(self) -> None:
        self.changed = threading.Condition()  # notified when work arrives
        self._works: Sequence[Work] = ()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)

    def start(self, *works: Work) -> None:
        self._works = works
        self._thread.start()

    def stop(self) -> None:
        with self.changed:
            self._stopped = True
            self.changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._stopped or any(work.ready for work in self._works))
            if self._stopped:
                return
            for work in self._works:
                if work.ready:
                    work.step()
