"""A client that failed is gone before the next one starts: its end needs the lock that a start holds."""

import gc
import threading

import pytest

from fracrepro.workflow import cluster


def kind_of_client(failures):
    """A class like Dask's: its first instances fail, and end by a lock that is held while one starts."""
    lock, ended = threading.Lock(), []

    class Client:
        made = 0

        def __init__(self, address, **options):
            type(self).made += 1
            self.number, self.itself = self.made, self  # a circle, which only a collection ends
            with lock:
                if gc.isenabled():  # one may come at any time
                    gc.collect()
            if self.made <= failures:
                raise AssertionError("the handshake")

        def __del__(self):
            ended.append((self.number, lock.acquire(blocking=False)))
            if ended[-1][1]:
                lock.release()

    return Client, ended


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_failed_clients_end_before_the_next_start(failures):
    kind, ended = kind_of_client(failures)
    client = cluster._client(kind, "tcp://nowhere")
    assert client.number == failures + 1
    assert ended == [(number, True) for number in range(1, failures + 1)]
    assert gc.isenabled()


def test_after_three_failures_the_last_one_is_said():
    kind, ended = kind_of_client(3)
    with pytest.raises(AssertionError, match="the handshake"):
        cluster._client(kind, "tcp://nowhere")
    gc.collect()
    assert [number for number, _ in ended] == [1, 2, 3]
    assert gc.isenabled()


def test_without_that_care_one_ends_in_the_middle(monkeypatch):
    # The control: garbage of the first client is collected while the second holds the lock.
    from contextlib import nullcontext

    monkeypatch.setattr(cluster, "no_collection", nullcontext)
    kind, ended = kind_of_client(1)
    gc.collect()
    client = cluster._client(kind, "tcp://nowhere")
    assert client.number == 2
    assert (1, False) in ended
