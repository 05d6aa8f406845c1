"""Work on an existing Dask cluster: who is there, whether they have our code, and the jobs they take."""

from __future__ import annotations

import logging
import pickle
import queue
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.memory import no_collection
from fracrepro.workflow import provenance, worker
from fracrepro.workflow.pool import TICK, LostWorkerError
from fracrepro.workflow.worker import Job, OtherCodeError, Reply

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 60.0  # seconds
FACTS_TIMEOUT = 300.0  # seconds; for what needs torch, and all data sets read
DELIVERIES = 3  # of a data set for one job, whose worker may die or be another one each time


class SchedulerError(FracreproError, RuntimeError):
    """The scheduler is gone, or has no worker for the work."""


class NoAnswerError(SchedulerError, FracreproError):
    """The scheduler, or a worker, is there and says nothing."""


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Open a connection to a scheduler; what goes wrong is said by us, once, and not by Dask.

    Addresses that begin with ``tls://`` take their certificates from Dask's configuration.

    Raises:
        ArgumentError: where nobody answers, or where it is no address.
    """
    import dask
    import distributed  # before its configuration is changed for a while, for its import adds to it

    with _quiet(), dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT:g}s"}):
        try:
            client = _client(distributed.Client, address)
        except Exception as error:  # nobody listens, no address at all, no certificate: Dask has many words
            words = str(error).partition("\n")[0] or type(error).__name__
            raise ArgumentError(
                f"scheduler = {address!r}: no Dask scheduler answers there ({words}); "
                "need an address such as tcp://host:8786"
            ) from None
        try:
            yield client
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.close(timeout=2)


def _client(kind: type[Client], address: str, attempts: int = 3) -> Client:
    """Connect; on a busy machine Dask's handshake fails an assertion now and then, and a second try holds.

    A client that failed is garbage, and closes itself when it is collected.
    Dask needs a lock for that, which a client that starts holds: a collection in the middle waits for ever.
    """
    while True:
        attempts -= 1
        try:
            with no_collection():
                return kind(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except AssertionError:
            if not attempts:
                raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Dask logs and warns: a scheduler that dies is worth one line, not eighty."""

    loud = ("distributed", "tornado", "asyncio")
    names = {*loud, *(name for name in logging.root.manager.loggerDict if name.partition(".")[0] in loud)}
    loggers = [logging.getLogger(name) for name in names]
    levels = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


def run(
    jobs: Sequence[Job],
    address: str,
    timeout: float,
) -> Iterator[tuple[int, Reply] | None]:
    """Yield the index and reply of each job as they come, and None at least every half second.

    Whoever stops iterating cancels the rest; kernels on the workers are killed, long tasks asked to stop.

    Args:
        jobs: what to do; what the caller appends between two replies is done too.
        address: of the scheduler.
        timeout: so many seconds without any worker for what is left are the end.

    Raises:
        ArgumentError: where no scheduler answers.
        SchedulerError: when no worker comes in time, or the scheduler ends.
        OtherCodeError: when a worker has other code; it is named.
    """
    with connect(address) as client:
        crew = _Crew(client, address, timeout)
        crew.wait([job.resources for job in jobs])
        crew.refuse_other_code()
        replies: queue.SimpleQueue[tuple[int, Future]] = queue.SimpleQueue()
        futures: dict[int, Future] = {}

        def submit(index: int, where: str | None = None) -> None:
            job = jobs[index]
            with crew.talking():
                futures[index] = future = client.submit(
                    worker.call_packed,
                    pickle.dumps(job),
                    key=f"{job.name}-{index}-{job.run}-{time.monotonic_ns()}",
                    resources=dict(job.resources),
                    workers=None if where is None else [where],
                    allow_other_workers=where is not None,
                    pure=False,
                )
            listen(index, future)

        def listen(index: int, future: Future) -> None:
            future.add_done_callback(lambda done: replies.put((index, done)))

        deliveries, known = Counter[int](), len(jobs)
        try:
            for index in range(len(jobs)):
                submit(index)
            while futures:
                try:
                    index, future = replies.get(timeout=TICK)
                except queue.Empty:
                    crew.check([jobs[index].resources for index in futures])
                    yield None
                    continue
                reply = _reply(future, crew)
                if reply is None:  # it was there, and is computed again because its worker died
                    listen(index, future)
                    continue
                if reply.missing and deliveries[index] < DELIVERIES:
                    deliveries[index] += 1
                    _deliver(crew, reply.missing, reply.address)
                    submit(index, reply.address)
                    continue
                if reply.missing:
                    reply = Reply(error=LostWorkerError(f"the data {reply.missing} arrived nowhere"))
                if isinstance(reply.error, OtherCodeError):
                    raise reply.error
                del futures[index]
                yield index, reply
                for index in range(known, len(jobs)):
                    submit(index)
                known = len(jobs)
        except BaseException:  # an interruption, or a caller who stops: nobody waits for the rest
            _abandon(client, list(futures.values()), jobs[0].run)
            raise


def examine(address: str, timeout: float) -> dict[str, Any]:
    """Return what each worker of a scheduler is and has, by address; an exception where it cannot say it.

    Raises:
        ArgumentError: where no scheduler answers.
        SchedulerError: when no worker comes in time, or one gives no answer.
    """
    with connect(address) as client:
        crew = _Crew(client, address, timeout)
        crew.wait([{}])
        known = crew.workers()
        with crew.talking():
            found = _ask(client, worker.facts, FACTS_TIMEOUT)
    for where, facts in found.items():
        if isinstance(facts, dict):
            facts["threads"] = known.get(where, {}).get("nthreads", 1)
            facts["resources"] = known.get(where, {}).get("resources") or {}
    return found


class _Crew:
    """The workers of a scheduler, watched: without any for the work, waiting has an end."""

    def __init__(self, client: Client, address: str, timeout: float) -> None:
        self.client, self.address, self.timeout = client, address, timeout
        self.seen = time.monotonic()

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the scheduler says of each worker, by address."""
        scheduler = self.client.scheduler
        if scheduler is None:
            raise self.gone()
        with self.talking():
            return self.client.sync(scheduler.identity, callback_timeout=CONNECT_TIMEOUT)["workers"]

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Say in one line what a broken connection raises in many."""
        try:
            yield
        except FracreproError:
            raise
        except TimeoutError as error:
            raise NoAnswerError(
                f"the scheduler at {self.address}, or a worker there, gives no answer"
            ) from error
        except (OSError, RuntimeError) as error:  # it hung up, or the client is closing
            raise self.gone() from error

    def gone(self) -> SchedulerError:
        return SchedulerError(
            f"the scheduler at {self.address} has ended: what was finished is kept; "
            "repeat the command with another to continue"
        )

    def check(self, wanted: Sequence[Mapping[str, float]]) -> bool:
        """Whether somebody can do some of what is left.

        Raises:
            SchedulerError: when the scheduler is gone, silent for long, or has had nobody for too long.
        """
        if self.client.status != "running":
            raise self.gone()
        silent = time.monotonic() - self.seen
        try:
            unmet = _unmet(wanted, self.workers())
        except NoAnswerError:  # busy, with an import for example
            if silent > max(self.timeout, ANSWER_TIMEOUT):
                raise
            return False
        if unmet is None:
            self.seen = time.monotonic()
        elif silent > self.timeout:
            raise SchedulerError(
                f"worker_timeout = {self.timeout:g}: within so many seconds no worker{unmet} came to the "
                f"scheduler at {self.address}; start one, for example with `dask worker {self.address}`"
            )
        return unmet is None

    def wait(self, wanted: Sequence[Mapping[str, float]]) -> None:
        """Wait for a worker; SchedulerError when none comes in time."""
        while not self.check(wanted):
            time.sleep(min(TICK, self.timeout))

    def refuse_other_code(self) -> None:
        """Raise OtherCodeError when a worker has not this code; its address and name stand in the message."""
        own = provenance.package_digest()
        with self.talking():
            found = _ask(self.client, worker.identity)
        for address, facts in found.items():
            if isinstance(facts, Exception):
                raise OtherCodeError(f"the worker at {address} has no fracrepro of this version: {facts}")
            if facts["package"] != own:
                raise OtherCodeError(
                    f"the worker {facts['name']} at {address} has other code of fracrepro "
                    f"({facts['package'][:12]}, here {own[:12]}): install the same version there, "
                    "and start it again"
                )


def _unmet(wanted: Sequence[Mapping[str, float]], workers: Mapping[str, Mapping[str, Any]]) -> str | None:
    """None when some worker offers what a job wants, else what nobody offers, in words."""
    offers = [facts.get("resources") or {} for facts in workers.values()]
    best = None
    for resources in wanted:
        if any(all(offer.get(key, 0) >= n for key, n in resources.items()) for offer in offers):
            return None
        best = "".join(f" with {key}={n:g}" for key, n in resources.items())
    return best


def _ask(client: Client, question: Callable[[], Any], timeout: float = ANSWER_TIMEOUT) -> dict[str, Any]:
    """The answer of each worker by address, or the exception where it cannot answer."""
    return client.sync(client._run, question, on_error="return", callback_timeout=timeout)


def _reply(future: Future, crew: _Crew) -> Reply | None:
    """What came of a job; None when it has to be waited for again."""
    from distributed import KilledWorker

    if future.status == "cancelled":  # by nobody here: the connection broke
        raise crew.gone()
    if future.status not in ("finished", "error"):
        return None
    try:
        return future.result(timeout=CONNECT_TIMEOUT)
    except KilledWorker:
        return Reply(error=LostWorkerError("every worker that had it died"))
    except Exception as error:
        if crew.client.status != "running":
            raise crew.gone() from error
        if isinstance(error, TimeoutError):
            return None
        return Reply(error=error)  # what Dask could not do, such as reading the job


def _deliver(crew: _Crew, name: str, address: str) -> None:
    """Send the official files of a data set to a worker, which checks them; one that dies gets no more."""
    from fracrepro.nn.data import transfer

    for file, content in transfer.packed(name):
        try:
            crew.client.run(transfer.receive, name, file, content, workers=[address])
        except (OSError, KeyError, ValueError) as error:  # Dask's words for a worker that is not there
            if crew.client.status != "running":
                raise crew.gone() from error
            return
    with suppress(OSError, KeyError, ValueError):
        crew.client.run(worker.forget_data, workers=[address])


def _abandon(client: Client, futures: Sequence[Future], run: str) -> None:
    """Cancel what is left, and stop what runs; a scheduler that is gone needs neither."""
    if client.status != "running":
        return
    with suppress(Exception):
        client.cancel(list(futures), force=True)
        client.sync(client._run, worker.stop, run, on_error="ignore", callback_timeout=CONNECT_TIMEOUT)
