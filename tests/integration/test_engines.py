"""One contract for every engine: here, in processes of this machine, on a Dask cluster. Processes are really killed."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import distributed
import pytest

from pipeline import cluster, processes, settings
from pipeline.engine import opened
from pipeline.errors import DiskFullError, EngineError, WorkerError
from pipeline.unforeseen import ours
from tests import engine_jobs

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def engines():
    """An engine of each kind with two workers, started when it is first asked for."""
    with contextlib.ExitStack() as stack:
        found = {}

        def get(kind):
            if kind not in found:
                found[kind] = stack.enter_context(opened(settings.Engine(kind=kind, workers=2)))
            return found[kind]

        yield get


@pytest.fixture(params=["here", "processes", "dask"])
def engine(request, engines):
    return engines(request.param)


@pytest.fixture(params=["processes", "dask"])
def workers(request, engines):
    return engines(request.param)


def test_results_come_in_order_each_for_its_item(engine):
    assert list(engine.map(engine_jobs.doubled, range(20))) == [2 * n for n in range(20)]
    assert list(engine.map(engine_jobs.slowly, range(5))) == list(range(5))
    assert list(engine.map(engine_jobs.doubled, [])) == []


def test_only_a_few_items_are_taken_before_the_first_result_is_fetched(engine):
    taken = []

    def items():
        for n in range(1000):
            taken.append(n)
            yield n

    results = engine.map(engine_jobs.doubled, items())
    for n in range(3):
        assert next(results) == 2 * n
    results.close()
    assert len(taken) <= 3 + 2 * engine.workers


def test_an_error_arrives_with_its_message_in_parts_and_the_engine_goes_on(engine):
    with pytest.raises(DiskFullError) as caught:
        list(engine.map(engine_jobs.full, range(6)))
    assert str(caught.value.fields["file"]) == "a.mp4"
    assert caught.value.code == DiskFullError.code
    with pytest.raises(ValueError, match="no 0"):
        list(engine.map(engine_jobs.broken, range(3)))
    assert list(engine.map(engine_jobs.doubled, [1])) == [2]


def test_several_callers_at_once_each_get_their_own(engine):
    got = {}

    def call(k):
        got[k] = list(engine.map(engine_jobs.doubled, range(k, k + 5)))

    threads = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {k: [2 * n for n in range(k, k + 5)] for k in range(4)}


def test_every_worker_works_and_loads_once(workers):
    found = list(workers.map(engine_jobs.pid_and_loads, range(24)))
    assert len({pid for pid, _ in found}) == 2
    assert {loads for _, loads in found} == {1}
    assert os.getpid() not in {pid for pid, _ in found}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_worker_that_dies_costs_its_item_only_and_another_takes_it_over(workers, tmp_path):
    done = list(workers.map(engine_jobs.dies_once, [str(tmp_path)]))
    assert done == ["done"]
    assert (tmp_path / "died").exists()
    assert list(workers.map(engine_jobs.doubled, range(8))) == [2 * n for n in range(8)]


@pytest.mark.logs_errors
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_an_item_that_brings_worker_after_worker_down_fails_and_the_rest_goes_on(workers):
    results = workers.map(engine_jobs.dies_always, range(4))
    assert next(results) == 0
    with pytest.raises(WorkerError, match="3 worker processes died"):
        next(results)
    assert list(workers.map(engine_jobs.doubled, range(8))) == [2 * n for n in range(8)]


@pytest.fixture
def impatient(monkeypatch):
    """An engine of two workers that waits for a frozen one for seconds, not for a minute."""
    monkeypatch.setattr(processes, "BEAT", 0.25)
    monkeypatch.setattr(processes, "SILENCE", 30)
    with opened(settings.Engine(kind="processes", workers=2)) as engine:
        yield engine
        for pid in engine.pids():  # were one still frozen, nobody would wait for it here
            os.kill(pid, signal.SIGKILL)


def _answers(engine, work, items):
    """What comes of it, or the error it ends in; None where it is waited for without end."""
    got = []

    def call():
        try:
            got.append(list(engine.map(work, items)))
        except WorkerError as error:
            got.append(error)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    caller.join(90)
    return got[0] if got else None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_worker_that_freezes_is_ended_and_another_takes_its_item_over(impatient, tmp_path):
    assert _answers(impatient, engine_jobs.freezes_once, [str(tmp_path)]) == ["done"]
    assert not _alive(int((tmp_path / "frozen").read_text()))
    assert _answers(impatient, engine_jobs.doubled, range(8)) == [2 * n for n in range(8)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_worker_that_freezes_with_nothing_to_do_does_not_hold_up_what_comes(impatient):
    """What is sent to it does not fit into the pipe, so that whoever sends it waits as well."""
    assert _answers(impatient, engine_jobs.doubled, range(8)) == [2 * n for n in range(8)]
    for pid in impatient.pids():
        os.kill(pid, signal.SIGSTOP)
    assert _answers(impatient, engine_jobs.length, [bytes(1 << 22)] * 3) == [1 << 22] * 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_an_item_that_freezes_worker_after_worker_fails(impatient):
    error = _answers(impatient, engine_jobs.freezes_always, range(4))
    assert isinstance(error, WorkerError)
    assert "3 worker processes died" in str(error)


def _begun(log):
    """Wait for a job that notes itself in ``log``, as `engine_jobs.noted` does."""
    until = time.monotonic() + 20
    while not (log.exists() and log.read_text()) and time.monotonic() < until:
        time.sleep(0.01)


def _another(folder, *lines):
    """Another Python that runs these lines, in which it may start workers; it is spoken to through pipes."""
    script = folder / "start.py"
    body = "".join(f"    {line}\n" for line in lines)
    script.write_text(
        "import sys, time\nfrom pipeline import processes\nfrom tests import engine_jobs\n"
        f"if __name__ == '__main__':\n{body}"
    )
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, str(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_workers_are_not_ended_because_who_asked_slept(tmp_path):
    """As when a laptop is shut: everybody stood still, and goes on with what they were at."""
    with _another(
        tmp_path,
        "processes.BEAT, processes.SILENCE = 0.1, 60",
        "engine = processes.Processes(1)",
        "list(engine.map(engine_jobs.doubled, [1]))",
        "print(*engine.pids(), flush=True)",
        "sys.stdin.readline()",
        "list(engine.map(engine_jobs.doubled, [1]))",
        "print(*engine.pids(), flush=True)",
    ) as process:
        worker = process.stdout.readline()
        both = (process.pid, int(worker))
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(9)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        assert process.communicate("\n")[0] == worker


def test_a_worker_that_cannot_be_started_is_told_and_nobody_waits(monkeypatch):
    """A machine that has no room for another process, for a while."""

    def fails():
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    started = processes._started
    monkeypatch.setattr(processes, "_started", fails)
    with opened(settings.Engine(kind="processes", workers=1)) as engine:
        for _ in range(2):
            with pytest.raises(WorkerError, match=r"cannot be started: .*unavailable"):
                list(engine.map(engine_jobs.doubled, range(3)))
        monkeypatch.setattr(processes, "_started", started)
        assert list(engine.map(engine_jobs.doubled, range(3))) == [0, 2, 4]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows asks a process otherwise")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_worker_that_is_being_born_leaves_ctrl_c_to_who_started_it(name, capfd):
    """A terminal sends it to all of them at once, and a worker takes a second to come to itself."""
    worker = processes._started()
    try:
        os.kill(worker.process.pid, getattr(signal, name))
        worker.connection.send((engine_jobs.doubled, 21))
        assert worker.connection.recv() == (True, 42)
    finally:
        processes._end(worker)
    assert capfd.readouterr().err == ""
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), "who started it hears it as before"


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows asks a process otherwise")
def test_workers_are_born_deaf_to_a_terminal(workers):
    (deaf,) = workers.map(engine_jobs.not_heard, [1])
    assert {signal.SIGINT, signal.SIGHUP} <= deaf
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_answer_that_cannot_be_sent_is_a_failure_not_a_silence():
    with opened(settings.Engine(kind="processes", workers=1)) as engine:
        with pytest.raises(RuntimeError, match="local object 'unpicklable"):
            list(engine.map(engine_jobs.unpicklable, [1]))
        pids = engine.pids()
        with pytest.raises(RuntimeError, match="attribute lookup"):
            list(engine.map(engine_jobs.unpicklable_by_name, [1]))
        assert engine.pids() == pids


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_what_breaks_in_a_worker_says_where(kind):
    with opened(settings.Engine(kind=kind, workers=1)) as engine:
        with pytest.raises(TypeError) as told:
            list(engine.map(engine_jobs.breaks, [1]))
        assert list(engine.map(engine_jobs.doubled, [1])) == [2]
    assert str(ours(told.value)).startswith("Lesveil ran into a mistake of its own (TypeError: ")
    assert ours(told.value).fields["place"].startswith("geometry.py:")


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_who_waits_goes_before_the_nightly_batch(kind, tmp_path):
    log = tmp_path / "log"
    with opened(settings.Engine(kind=kind, workers=1)) as engine:
        list(engine.map(engine_jobs.doubled, [1]))
        nightly = [(str(log), f"night{n}", 1.5) for n in range(4)]
        batch = threading.Thread(target=lambda: list(engine.map(engine_jobs.noted, nightly, -10)))
        batch.start()
        _begun(log)
        assert list(engine.map(engine_jobs.noted, [(str(log), "coach", 0.0)], 0)) == ["coach"]
        batch.join()
    order = log.read_text().split()
    assert sorted(order) == ["coach", "night0", "night1", "night2", "night3"]
    assert order.index("coach") <= 2


def test_workers_are_gone_after_close():
    engine = opened(settings.Engine(kind="processes", workers=2))
    list(engine.map(engine_jobs.pid_and_loads, range(4)))
    pids = engine.pids()
    assert len(pids) == 2
    engine.close()
    engine.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(WorkerError):
        list(engine.map(engine_jobs.doubled, [1]))


def test_closing_while_work_is_under_way_leaves_nobody_waiting(tmp_path):
    engine = opened(settings.Engine(kind="processes", workers=1))
    log, said = tmp_path / "log", []

    def call():
        try:
            list(engine.map(engine_jobs.noted, [(str(log), "long", 60.0), (str(log), "next", 0.0)]))
        except WorkerError as error:
            said.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    _begun(log)
    engine.close()
    caller.join(20)
    assert not caller.is_alive()
    assert len(said) == 1
    assert log.read_text().split() == ["long"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_end_when_who_started_them_is_killed(tmp_path):
    with _another(
        tmp_path,
        "engine = processes.Processes(2)",
        "list(engine.map(engine_jobs.pid_and_loads, range(4)))",
        "print(*engine.pids(), flush=True)",
        "time.sleep(60)",
    ) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    until = time.monotonic() + 20
    while any(_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return not Path("/proc").is_dir()


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "10.0.0.5:8786", "ucx://cluster:8786"])
def test_a_scheduler_elsewhere_is_not_spoken_to_in_the_clear(address):
    with pytest.raises(EngineError, match="in the clear"):
        opened(settings.Engine(kind="dask", scheduler=address))


def _one_worker(**more):
    """A scheduler on this machine with one worker process."""
    return distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", processes=True, **more
    )


def test_a_worker_that_may_write_its_memory_to_its_disk_gets_no_work():
    with (
        _one_worker() as cluster,
        pytest.raises(EngineError, match="SPILL"),
    ):
        opened(settings.Engine(kind="dask", scheduler=cluster.scheduler_address))


def test_a_worker_that_comes_later_and_may_write_its_memory_to_its_disk_gets_no_work():
    import dask

    with (
        dask.config.set(cluster.QUIET),
        _one_worker() as running,
        opened(settings.Engine(kind="dask", scheduler=running.scheduler_address)) as engine,
    ):
        assert list(engine.map(engine_jobs.doubled, range(3))) == [0, 2, 4]
        with dask.config.set({"distributed.worker.memory.spill": 0.7}):
            running.scale(2)
            running.wait_for_workers(2, timeout=30)
        with pytest.raises(EngineError, match=r"must not be used .*SPILL"):
            list(engine.map(engine_jobs.pid_and_loads, range(12)))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "localhost:9", "tls://127.0.0.1:9"])
def test_a_scheduler_that_is_not_there_is_told_at_once(monkeypatch, address):
    """Dask alone would try for PATIENCE seconds and say that it timed out."""
    monkeypatch.setattr("pipeline.cluster.PATIENCE", 1)
    with pytest.raises(EngineError, match=r"cannot be used: .*refused"):
        opened(settings.Engine(kind="dask", scheduler=address))


@pytest.mark.logs_errors
def test_a_scheduler_that_went_away_is_told_to_every_clip_and_nobody_waits(monkeypatch, capfd):
    import dask

    monkeypatch.setattr(cluster, "PATIENCE", 20)
    monkeypatch.setattr(cluster, "LOOK", 0.2)
    with (
        dask.config.set(cluster.QUIET),
        _one_worker() as running,
        opened(settings.Engine(kind="dask", scheduler=running.scheduler_address)) as engine,
    ):
        assert list(engine.map(engine_jobs.doubled, [1])) == [2]
        monkeypatch.setattr(cluster, "PATIENCE", 3)
        running.close()
        told = []

        def clips():
            for _ in range(3):
                try:
                    list(engine.map(engine_jobs.doubled, range(3)))
                except WorkerError as error:
                    told.append(str(error))

        caller = threading.Thread(target=clips, daemon=True)
        caller.start()
        caller.join(30)
        assert len(told) == 3
        assert {one.partition(";")[0] for one in told} == {"The Dask scheduler was lost while work was under way"}
    assert capfd.readouterr().err == "", "nothing in Dask's own words"


@pytest.mark.parametrize("how", ["full", "gone"])
def test_workers_that_take_no_work_any_more_are_told_and_nobody_waits(how, monkeypatch):
    """Dask leaves one at its memory limit alone until it has room, and waits for one to come where there is none."""
    import dask

    monkeypatch.setattr(cluster, "LOOK", 1)
    monkeypatch.setattr(cluster, "PATIENCE", 20)
    settled = {**cluster.QUIET, "distributed.worker.memory.pause": 0.5, "distributed.worker.memory.terminate": False}
    with (
        dask.config.set(settled),
        _one_worker(memory_limit="600MB", config=settled) as running,
        opened(settings.Engine(kind="dask", scheduler=running.scheduler_address)) as engine,
    ):
        assert list(engine.map(engine_jobs.doubled, [1])) == [2]
        monkeypatch.setattr(cluster, "PATIENCE", 3)
        if how == "full":
            list(engine.map(engine_jobs.fills, [1]))
        else:
            running.scale(0)
        told = []

        def caller():
            try:
                for _ in range(20):
                    list(engine.map(engine_jobs.slowly, range(3)))
            except WorkerError as error:
                told.append(str(error))

        thread = threading.Thread(target=caller, daemon=True)
        thread.start()
        thread.join(60)
        assert [one.partition(";")[0] for one in told] == ["No worker of the Dask cluster takes work any more"]


def _certificates(folder):
    """An authority, and a certificate with its key that it signed; of another authority where asked."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir()
    now = datetime.now(UTC)
    key, ca_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca, mine = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("cluster", "here"))

    def made(subject, public, authority):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(ca_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    names = {"ca": folder / "ca.pem", "certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    names["ca"].write_bytes(made(ca, ca_key.public_key(), True))
    names["certificate"].write_bytes(made(mine, key.public_key(), False))
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    names["key"].write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return {name: str(path) for name, path in names.items()}


@pytest.mark.logs_errors
def test_a_cluster_is_reached_over_tls_by_who_has_a_certificate_and_by_nobody_else(tmp_path, monkeypatch):
    import dask

    monkeypatch.setattr(cluster, "PATIENCE", 20)
    ours, others = _certificates(tmp_path / "ours"), _certificates(tmp_path / "others")
    security = distributed.Security(
        tls_ca_file=ours["ca"],
        **{f"tls_{who}_cert": ours["certificate"] for who in ("client", "scheduler", "worker")},
        **{f"tls_{who}_key": ours["key"] for who in ("client", "scheduler", "worker")},
        require_encryption=True,
    )
    with (
        dask.config.set(cluster.QUIET),
        _one_worker(protocol="tls://", security=security) as running,
    ):
        address = running.scheduler_address
        assert address.startswith("tls://")
        with opened(settings.Engine(kind="dask", scheduler=address, **ours)) as engine:
            assert list(engine.map(engine_jobs.doubled, range(3))) == [0, 2, 4]
        monkeypatch.setattr(cluster, "PATIENCE", 5)
        for wrong in (others, {}):
            with pytest.raises(EngineError, match="cannot be used"):
                opened(settings.Engine(kind="dask", scheduler=address, **wrong))
        with pytest.raises(EngineError, match="cannot be used"):
            opened(settings.Engine(kind="dask", scheduler=address.replace("tls://", "tcp://")))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_dask_says_nothing_of_its_own_and_leaves_nothing_behind(tmp_path):
    text = (
        "from pipeline import settings\nfrom pipeline.engine import opened\nfrom tests import engine_jobs\n"
        "if __name__ == '__main__':\n"
        "    with opened(settings.Engine(kind='dask', workers=2)) as engine:\n"
        f"        list(engine.map(engine_jobs.dies_once, [{str(tmp_path)!r}]))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    place = tmp_path / "tmp"
    place.mkdir()
    env = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "died").exists()
    assert list(place.iterdir()) == []


def test_an_interruption_while_dask_is_let_go_leaves_no_worker_and_no_folder(tmp_path):
    class Once:
        def __init__(self, error=None):
            self.error, self.closed = error, False

        def close(self, timeout):
            self.closed = True
            if self.error is not None:
                raise self.error

    engine = cluster.Dask.__new__(cluster.Dask)
    engine._folder = tempfile.TemporaryDirectory(dir=tmp_path)
    client, workers = engine._client, engine._cluster = Once(KeyboardInterrupt()), Once()
    with pytest.raises(KeyboardInterrupt):
        engine.close()
    assert (client.closed, workers.closed, list(tmp_path.iterdir())) == (True, True, [])
