"""Work on a Dask cluster (``pip install lesveil[cluster]``): the same jobs, sent to workers on other machines.

Jobs may hold the key of a working copy, and answers hold what faces look like. So whatever is not this machine is
reached over TLS or not at all, and a worker that could write its memory to its disk gets no work.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from pipeline import __version__, interruption, settings
from pipeline.errors import EngineError, WorkerError
from pipeline.unforeseen import noted

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 3
"""Workers that one item may bring down; after the last it counts as failed."""

PER_WORKER = 2
"""Items of one caller that are with the cluster at once, for each worker: one at work, one waiting."""

PATIENCE = 60
"""Seconds to wait for the scheduler and its first worker."""

LOOK = 5
"""Seconds after which it is looked whether anybody is at what is waited for."""

KNOCK, PORT = 5, 8786
"""Seconds within which a scheduler takes up a connection, and the port at which it does unless another is named."""

QUIET = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.scheduler.allowed-failures": TRIES - 1,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.tick.limit": "60s",
}
"""How workers of our own are set up: nothing of their memory goes to a disk, and no page shows what they are at."""


class Dask:
    """An Engine on the cluster that ``chosen`` names, or on worker processes of this machine. Raises EngineError."""

    _cluster: Any = None
    _client: Any = None

    def __init__(self, chosen: settings.Engine) -> None:
        try:
            dask: Any = importlib.import_module("dask")
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise EngineError('Dask is not installed; run: pip install "lesveil[cluster]".') from error
        self._folder = tempfile.TemporaryDirectory(prefix="lesveil-dask-", ignore_cleanup_errors=True)
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in our own words
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(self.close)  # whatever goes wrong, or whoever interrupts: no worker is left behind
            try:
                if chosen.scheduler:
                    self._reach(distributed, chosen)
                else:
                    self._start(dask, distributed, chosen)
                self._client.wait_for_workers(1, timeout=PATIENCE)
                told = self._client.run(about)
            except EngineError:
                raise
            except Exception as error:
                raise EngineError(
                    "The Dask scheduler {address} cannot be used: {why}; see docs/cluster.md.",
                    address=chosen.scheduler or "127.0.0.1",
                    why=str(error) or type(error).__name__,
                ) from error
            for worker, facts in told.items():
                if unfit := _unfit(worker, facts, __version__):
                    raise unfit
            self.workers = len(told)
            self.threads = max(1, min(facts["cores"] for facts in told.values()) // _most_on_one_host(told))
            otherwise.pop_all()

    def _reach(self, distributed: Any, chosen: settings.Engine) -> None:
        """The cluster that is named."""
        _refuse_open(chosen.scheduler)
        _knock(chosen.scheduler)
        self._client = distributed.Client(
            chosen.scheduler, security=_security(chosen, chosen.scheduler), timeout=PATIENCE, set_as_default=False
        )

    def _start(self, dask: Any, distributed: Any, chosen: settings.Engine) -> None:
        """Worker processes of this machine."""
        with (
            dask.config.set({**QUIET, "temporary-directory": self._folder.name}),
            interruption.kept_from_workers(),
        ):
            self._cluster = distributed.LocalCluster(
                n_workers=chosen.workers or max(1, (os.cpu_count() or 1) // 2),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                processes=True,
                silence_logs=logging.CRITICAL,
                config=copy.deepcopy(dask.config.config),  # for those that take the place of one that died, too
            )
            self._client = distributed.Client(self._cluster, timeout=PATIENCE, set_as_default=False)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], priority: int = 0) -> Iterator[Result]:
        """See `Engine`."""
        from distributed import CancelledError, KilledWorker

        def sent(item: Item) -> Any:
            # what is given to a client that gave its scheduler up is waited for without end
            if self._client is None or self._client.status not in ("running", "connecting"):
                raise _lost()
            return self._client.submit(_carried_out, work, item, __version__, pure=False, priority=priority, retries=0)

        source, waiting = iter(items), deque[Any]()
        blamed: Any = None
        try:
            while True:
                waiting += ((item, sent(item)) for item in islice(source, PER_WORKER * self.workers - len(waiting)))
                if not waiting:
                    return
                item, future = waiting[0]
                try:
                    good, value = self._answer(future)
                except KilledWorker as error:
                    # Dask blames whatever was with the workers that died, also what only waited there
                    if blamed is not future:
                        blamed = sent(item)
                        waiting[0] = item, blamed
                        continue
                    raise WorkerError(
                        "{n} worker processes died over the same piece of work; is there enough memory? Nothing of it "
                        "is released.",
                        n=TRIES,
                    ) from error
                except (CancelledError, OSError) as error:
                    raise _lost() from error
                waiting.popleft()
                if not good:
                    raise value
                yield value
        finally:
            if waiting:
                with contextlib.suppress(Exception):  # it is given up either way
                    self._client.cancel([future for _, future in waiting])

    def _answer(self, future: Any) -> Any:
        """What comes of it. Raises WorkerError where nobody takes work for PATIENCE seconds: Dask waits without end."""
        idle = 0
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():
                    raise
                idle = 0 if self._anybody() else idle + LOOK
                if idle >= PATIENCE:
                    raise WorkerError(
                        "No worker of the Dask cluster takes work any more; see that they run and have memory enough "
                        "(docs/cluster.md), and repeat the command to go on."
                    ) from None

    def _anybody(self) -> bool:
        """Whether a worker takes work or is at it: one at its memory limit takes none, and may stay so. Of a scheduler
        that does not answer the future itself will tell."""
        workers = self._client.scheduler_info(n_workers=-1).get("workers")
        return workers is None or any(
            one["status"] == "running" or one["metrics"].get("task_counts", {}).get("executing")
            for one in workers.values()
        )

    def pids(self) -> list[int]:
        """The worker processes there are, on whatever machines."""
        return [int(facts["pid"]) for facts in self._client.run(about).values()]

    def close(self) -> None:
        """See `Engine`."""
        try:
            with contextlib.ExitStack() as then:  # the client, the workers, their folder: each, whatever came before
                then.callback(self._folder.cleanup)
                for one in (self._cluster, self._client):
                    if one is not None:
                        then.callback(one.close, timeout=10)
        finally:
            self._client = self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def about() -> dict[str, Any]:
    """Run on a worker: what must be known of it before it is given work."""
    import platform

    import dask

    spills = any(dask.config.get(f"distributed.worker.memory.{name}", None) for name in ("target", "spill"))
    return {
        "version": __version__,
        "spills": spills,
        "cores": os.cpu_count() or 1,
        "host": platform.node(),
        "pid": os.getpid(),
    }


def _unfit(worker: str, facts: dict[str, Any], version: str) -> EngineError | None:
    """Why a worker must get no work, if so."""
    why = ""
    if facts["version"] != version:
        why = f"Lesveil {facts['version']}, not {version}"
    elif facts["spills"]:
        why = "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL, DASK_DISTRIBUTED__WORKER__MEMORY__TARGET"
    if not why:
        return None
    return EngineError("Worker {worker} must not be used ({why}); see docs/cluster.md.", worker=worker, why=why)


def _lost() -> WorkerError:
    return WorkerError(
        "The Dask scheduler was lost while work was under way; see that it runs and can be reached, and repeat the "
        "command to go on."
    )


def _carried_out(work: Callable[[Any], Any], item: Any, version: str) -> tuple[bool, Any]:
    """Run on a worker. A failure is an answer like another: Dask would log it, with what it was at. A worker that came
    when others were at work already is asked here what those were asked before."""
    facts = about()
    if unfit := _unfit(facts["host"], facts, version):
        return False, unfit
    try:
        return True, work(item)
    except Exception as error:  # noqa: BLE001 -- raised again where the caller stands
        return False, noted(error)


def _most_on_one_host(told: dict[str, Any]) -> int:
    hosts = [facts["host"] for facts in told.values()]
    return max(hosts.count(host) for host in hosts)


def _security(chosen: settings.Engine, address: str) -> Any:
    if not address.startswith("tls://"):
        return None
    for file in filter(None, (chosen.ca, chosen.certificate, chosen.key)):
        try:
            open(file, "rb").close()
        except OSError as error:
            raise EngineError(
                "The file {file}, which [engine] names, cannot be read: {why}; see docs/cluster.md.",
                file=file,
                why=error.strerror,
            ) from error
    security: Any = importlib.import_module("distributed.security")
    return security.Security(
        tls_ca_file=chosen.ca or None,
        tls_client_cert=chosen.certificate or None,
        tls_client_key=chosen.key or None,
        require_encryption=True,
    )


def _parts(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"tcp://{address}")


def _knock(address: str) -> None:
    """OSError where nobody listens: Dask itself would go on trying for PATIENCE seconds, and say nothing."""
    parts = _parts(address)
    socket.create_connection((parts.hostname or "", parts.port or PORT), timeout=KNOCK).close()


def _refuse_open(address: str) -> None:
    """Only this machine may be spoken to without TLS."""
    parts = _parts(address)
    if parts.scheme != "tls" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise EngineError(
            "The Dask scheduler {address} would be reached in the clear; give it certificates and a tls:// address "
            "(docs/cluster.md).",
            address=address,
        )
