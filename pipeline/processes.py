"""Work in processes of this machine. Each loads what it needs once and stays; one that dies is replaced.

Processes are spawned, not forked: the networks' threads do not survive a fork. They end by themselves when this process
is gone, and leave Ctrl-C to it. A thread in each tells that it lives; one that is frozen counts as dead after a while.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, Self, TypeVar

from pipeline import interruption
from pipeline.errors import WorkerError
from pipeline.unforeseen import noted

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 3
"""Workers that one item may bring down; after the last it counts as failed."""

AHEAD = 1
"""Items beyond the number of workers that are taken from a caller before its first result is fetched."""

MOST = 60 if os.name == "nt" else 256
"""Workers at most: Windows waits for no more than 63 things at a time."""

BEAT = 5.0
"""Seconds between two signs of life of a worker."""

SILENCE = 12
"""Beats without a sign of life after which a worker is ended: it is frozen, and would be waited for without end."""


@dataclass(order=True)
class _Job:
    rank: tuple[int, int]
    """Higher priorities first, then first come."""
    work: Callable[[Any], Any] = field(compare=False)
    item: Any = field(compare=False)
    result: Future[Any] = field(compare=False, default_factory=Future)
    tries: int = field(compare=False, default=0)
    dropped: bool = field(compare=False, default=False)
    """Nobody waits for it any more."""


@dataclass
class _Worker:
    process: Any
    connection: Connection[Any, Any]
    life: Connection[Any, Any]
    """Where its signs of life come in: a pipe of their own, so that no half-sent answer holds them up."""
    silent: int = -4 * SILENCE
    """Beats since the last one. Until the first it is waited for longer: a cold start takes its time."""
    job: _Job | None = None

    def heard(self) -> bool:
        """Whether there was a sign of life since this was last asked."""
        found = False
        with contextlib.suppress(OSError, EOFError):  # it died, which its connection tells
            while self.life.poll():
                self.life.recv_bytes()
                found = True
        return found


class Processes:
    """An Engine of ``workers`` processes, which are started when the first work comes."""

    def __init__(self, workers: int, threads: int = 0) -> None:
        self.workers = min(workers, MOST)
        self.threads = threads or max(1, cores() // self.workers)
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._closed = False
        self._woken, self._wake = Pipe(duplex=False)
        self._at_work: list[_Worker] = []
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        """Nobody is at work any more."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], priority: int = 0) -> Iterator[Result]:
        """See `Engine`."""
        waiting: deque[_Job] = deque()
        source = iter(items)
        try:
            while True:
                for item in itertools.islice(source, self.workers + AHEAD - len(waiting)):
                    waiting.append(self._put(work, item, priority))
                if not waiting:
                    return
                yield waiting[0].result.result()
                waiting.popleft()
        finally:
            for job in waiting:
                job.dropped = True

    def pids(self) -> list[int]:
        """The worker processes there are."""
        return [worker.process.pid for worker in list(self._at_work)]

    def _put(self, work: Callable[[Any], Any], item: Any, priority: int) -> _Job:
        with self._lock:
            if self._closed:
                raise WorkerError("The workers have been let go.")
            job = _Job((-priority, next(self._count)), work, item)
            heapq.heappush(self._jobs, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lesveil-workers", daemon=True)
                self._thread.start()
            self._wake.send_bytes(b".")
        return job

    def _run(self) -> None:
        """Hand out jobs and collect results, until closed."""
        try:
            threading.Thread(target=self._watch, name="lesveil-watch", daemon=True).start()
            while True:
                self._hand_out()
                if self._closed:
                    return
                for ready in wait([self._woken, *(worker.connection for worker in self._at_work)]):
                    if ready is self._woken:
                        self._woken.recv_bytes()
                    else:
                        self._collect(next(w for w in self._at_work if w.connection is ready))
        except BaseException as error:  # noqa: BLE001 -- whoever waits for a result must hear of it
            self._fail(error)
        finally:
            self._over.set()
            with self._lock:
                at_work, self._at_work = self._at_work, []
            for worker in at_work:
                _end(worker)
                if worker.job is not None and not worker.job.result.done():
                    worker.job.result.set_exception(WorkerError("The workers have been let go."))

    def _watch(self) -> None:
        """End every worker that is frozen; whoever waits for it then finds that it died.

        Time is counted in beats that pass here, too: while a laptop sleeps, or all of this is stopped, none does.
        """
        while not self._over.wait(BEAT):
            with self._lock:
                for worker in self._at_work:
                    worker.silent = 0 if worker.heard() else worker.silent + 1
                    if worker.silent >= SILENCE:
                        worker.process.kill()

    def _hand_out(self) -> None:
        """Give every idle worker the first job that waits; start workers while there are too few."""
        while True:
            idle = next((worker for worker in self._at_work if worker.job is None), None)
            if idle is None and len(self._at_work) >= self.workers:
                return
            with self._lock:
                while self._jobs and self._jobs[0].dropped:
                    heapq.heappop(self._jobs)
                if not self._jobs:
                    return
                job = heapq.heappop(self._jobs)
            if idle is None:
                try:
                    idle = _started()
                except Exception as error:  # noqa: BLE001 -- whatever it was: who asked must hear of it
                    why = str(error) or type(error).__name__
                    job.result.set_exception(WorkerError("A worker process cannot be started: {why}.", why=why))
                    continue
                with self._lock:
                    self._at_work.append(idle)
            idle.job = job
            try:
                idle.connection.send((job.work, job.item))
            except OSError:
                self._lost(idle)
            except Exception as error:  # noqa: BLE001 -- what cannot be sent is its caller's mistake
                idle.job = None
                job.result.set_exception(error)

    def _collect(self, worker: _Worker) -> None:
        try:
            good, value = worker.connection.recv()
        except (OSError, EOFError):
            self._lost(worker)
            return
        except Exception as error:  # noqa: BLE001 -- an answer that cannot be read is that job's failure
            good, value = False, error
        job, worker.job = worker.job, None
        assert job is not None
        if good:
            job.result.set_result(value)
        else:
            job.result.set_exception(value)

    def _lost(self, worker: _Worker) -> None:
        """A worker died. Its job waits again, in front of its like; another worker will be started for it."""
        with self._lock:
            self._at_work.remove(worker)
        _end(worker)
        job = worker.job
        if job is None or job.dropped:
            return
        job.tries += 1
        if job.tries < TRIES:
            with self._lock:
                heapq.heappush(self._jobs, job)
        else:
            job.result.set_exception(
                WorkerError(
                    "{n} worker processes died over the same piece of work; is there enough memory? Nothing of it is "
                    "released.",
                    n=job.tries,
                )
            )

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._closed = True
            left, self._jobs = self._jobs, []
        for job in left:
            if not job.result.done():
                job.result.set_exception(error)

    def close(self) -> None:
        """See `Engine`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake.send_bytes(b".")
        if self._thread is not None:
            self._thread.join()
        self._fail(WorkerError("The workers have been let go."))
        self._woken.close()
        self._wake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cores() -> int:
    """Processors that this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    life, beats = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(its, beats, BEAT), name="lesveil-worker", daemon=True)
    with interruption.kept_from_workers():
        process.start()
    its.close()
    beats.close()
    return _Worker(process, mine, life)


def _end(worker: _Worker) -> None:
    worker.connection.close()
    worker.life.close()
    worker.process.kill()
    worker.process.join()
    worker.process.close()


def _serve(connection: Connection[Any, Any], life: Connection[Any, Any], beat: float) -> None:
    """A worker's life: work on what comes, until nobody is at the other end; tell every ``beat`` seconds that it goes
    on."""
    for number in interruption.OF_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_beat, args=(life, beat), name="lesveil-beat", daemon=True).start()
    with contextlib.suppress(OSError, EOFError):
        while True:
            work, item = connection.recv()
            try:
                answer = (True, work(item))
            except Exception as error:  # noqa: BLE001 -- raised again where the caller stands
                answer = (False, noted(error))
            try:
                connection.send(answer)
            except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
                # it cannot be sent; that it failed can
                connection.send((False, RuntimeError(f"{answer[1]!r}: {error}")))


def _beat(life: Connection[Any, Any], beat: float) -> None:
    with contextlib.suppress(OSError):
        while True:
            life.send_bytes(b".")
            time.sleep(beat)
