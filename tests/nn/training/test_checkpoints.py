"""Checkpoints: an interrupted run ends like an uninterrupted one, and damage is named, never used."""

import contextlib
import errno
import hashlib
import io
import json
import multiprocessing
import pickle
import random
import shutil
import signal
import threading
import time
import warnings

import pandas as pd
import pytest
import torch

from fracrepro import files
from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS
from fracrepro.nn.schemes import make
from fracrepro.nn.training import checkpoints, train
from fracrepro.nn.training.checkpoints import CheckpointError, trained_parameters
from fracrepro.nn.training.lanes import Lane
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters

SMALL = DIGITS.replace(
    network=Network((1, 8, 8), depth=3, width=16),
    schemes=(make("kaiming"), make("xavier")),
    seeds=range(3),
    epochs=12,
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def uninterrupted(digits):
    return train(SMALL, digits).drop(columns="seconds")


def same(results, expected):
    pd.testing.assert_frame_equal(results.drop(columns="seconds"), expected, check_exact=True)


class Stopped(Exception):
    pass


def stop_after(monkeypatch, epochs):
    """Make the lanes break off once they have advanced so many epochs together."""
    advance, count = Lane.advance, iter(range(10**6))

    def limited(self, check):
        if next(count) >= epochs:
            raise Stopped
        advance(self, check)

    monkeypatch.setattr(Lane, "advance", limited)


@pytest.mark.parametrize("epochs", [1, 7, 20])
def test_resume_after_an_error_changes_nothing(digits, uninterrupted, tmp_path, monkeypatch, epochs):
    with monkeypatch.context() as patch:
        stop_after(patch, epochs)
        with pytest.raises(Stopped):
            train(SMALL, digits, checkpoint=tmp_path, interval=0, threads=1)
    assert list(tmp_path.glob("*.ckpt"))
    same(train(SMALL, digits, checkpoint=tmp_path), uninterrupted)


def test_finished_runs_are_not_trained_again(digits, uninterrupted, tmp_path, monkeypatch):
    train(SMALL, digits, checkpoint=tmp_path)
    stop_after(monkeypatch, 0)
    same(train(SMALL, digits, checkpoint=tmp_path), uninterrupted)


def test_interval_spaces_the_checkpoints(digits, tmp_path, monkeypatch):
    stop_after(monkeypatch, 5)
    with pytest.raises(Stopped):
        train(SMALL, digits, checkpoint=tmp_path, interval=3600, threads=1)
    assert not list(tmp_path.iterdir())


def test_sigkill_at_random_moments_changes_nothing(digits, tmp_path):
    # Ten kills, spread over start, training and writing; each start goes on from the last one's checkpoints.
    longer = SMALL.replace(epochs=60)
    processes = multiprocessing.get_context("forkserver")  # pays for the imports once
    processes.set_forkserver_preload(["fracrepro.nn.training.trainer", "pandas"])
    moments, arguments = random.Random(0), {"checkpoint": tmp_path, "interval": 0, "threads": 1}
    exits = []
    for _ in range(10):
        job = processes.Process(target=train, args=(longer, digits), kwargs=arguments)
        job.start()
        time.sleep(moments.uniform(0.0, 0.4))
        job.kill()
        job.join()
        exits.append(job.exitcode)
    assert exits.count(-signal.SIGKILL) >= 5, "the jobs ended before they were killed"
    assert list(tmp_path.glob("*.ckpt")), "no job lived long enough to leave a checkpoint"
    same(train(longer, digits, **arguments), train(longer, digits).drop(columns="seconds"))


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "foreign"])
def test_damaged_checkpoint_is_named_and_not_used(digits, tmp_path, damage):
    train(SMALL, digits, checkpoint=tmp_path)
    path = tmp_path / "seeds-2.ckpt"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:-100],
            "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "foreign": b"another program's file\n" * 100,
        }[damage]
    )
    with pytest.raises(CheckpointError, match=r"seeds-2.ckpt is truncated or altered: expected .* found"):
        train(SMALL, digits, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"learning_rate": 0.02}, "learning_rate is 0.01 there and 0.02 here"),
        ({"epochs": 13}, "epochs is 12 there and 13 here"),
        ({"schemes": SMALL.schemes[:1]}, "schemes is"),
        ({"network": Network((1, 8, 8), depth=4, width=16)}, "network is"),
    ],
)
def test_checkpoint_of_another_protocol_says_which_field_differs(digits, tmp_path, changes, field):
    train(SMALL, digits, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=f"another experiment: {field}"):
        train(SMALL.replace(**changes), digits, checkpoint=tmp_path)


def test_checkpoint_of_other_data_is_refused(digits, tmp_path):
    train(SMALL, digits, checkpoint=tmp_path)
    flipped = [array[::-1].copy() for array in (digits.train_images, digits.train_labels)]
    other = data.Dataset("digits", *flipped, digits.test_images, digits.test_labels)
    with pytest.raises(CheckpointError, match="data digest is"):
        train(SMALL, other, checkpoint=tmp_path)


def test_full_disk_leaves_the_last_good_state(digits, uninterrupted, tmp_path, monkeypatch):
    calls = iter(range(10**6))

    def full(handle):
        if next(calls) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train(SMALL, digits, checkpoint=tmp_path, interval=0, threads=1)
    assert not list(tmp_path.glob(".*")), "a temporary file stayed"
    same(train(SMALL, digits, checkpoint=tmp_path), uninterrupted)


def test_unusable_folder_is_refused_before_any_training(digits, tmp_path, monkeypatch):
    stop_after(monkeypatch, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        train(SMALL, digits, checkpoint=tmp_path / "file")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="cannot write checkpoints"):
        train(SMALL, digits, checkpoint=tmp_path / "closed")


def test_ctrl_c_ends_every_lane_and_leaves_the_last_good_state(digits, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        advance, calls = Lane.advance, iter(range(10**6))

        def interrupted(self, check):
            advance(self, check)
            if next(calls) == 5:
                signal.raise_signal(signal.SIGINT)  # reaches the main thread, as from a terminal

        patch.setattr(Lane, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(SMALL, digits, checkpoint=tmp_path, interval=0, threads=2)
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
    same(train(SMALL, digits, checkpoint=tmp_path), uninterrupted)


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    train(SMALL, digits, checkpoint=folder)
    return folder


@pytest.fixture
def trained(finished, tmp_path):
    """The checkpoints of a finished training, in a folder of the test's own."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


def written(path, content, described=None):
    """Write a checkpoint whose checksum holds, whatever is in it."""
    facts = described or json.loads(torch.load(payload(path), weights_only=True)["experiment"])
    checkpoints.write_checkpoint(path, facts, content)


def payload(path):
    return io.BytesIO(path.read_bytes().split(b"\n", 2)[2])


def signed(path, content, magic=checkpoints.MAGIC):
    path.write_bytes(magic + b"\n" + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def refused(message, digits, tmp_path):
    with pytest.raises(CheckpointError, match=message) as caught:
        train(SMALL, digits, checkpoint=tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_the_checkpoint_of_other_seeds_under_this_name_is_refused(digits, tmp_path, monkeypatch):
    train(SMALL.replace(seeds=range(4)), digits, checkpoint=tmp_path)
    (tmp_path / "seeds-0-1.ckpt").write_bytes((tmp_path / "seeds-2-3.ckpt").read_bytes())
    with pytest.raises(CheckpointError, match=r"runs at seeds is \[2, 3\] there and \[0, 1\] here"):
        train(SMALL.replace(seeds=range(4)), digits, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "figures": c["figures"][:0]}, "holds 0 epochs: need 1 to 12"),
        (lambda c: {**c, "figures": c["figures"].repeat(2, 1, 1)}, "holds 24 epochs: need 1 to 12"),
        (lambda c: {**c, "figures": c["figures"][:, :, :1]}, "other figures"),
        (lambda c: {**c, "figures": c["figures"].float()}, "other figures"),
        (lambda c: {**c, "figures": c["figures"][0]}, "other figures"),
        (lambda c: {**c, "figures": "twelve"}, "other figures"),
        (lambda c: {"tensors": c["tensors"]}, "other figures"),
        (lambda c: {"figures": c["figures"]}, "other parameters"),
        (lambda c: {**c, "tensors": c["tensors"][:-1]}, "other parameters"),
        (lambda c: {**c, "tensors": [t.double() for t in c["tensors"]]}, "other parameters"),
        (lambda c: {**c, "tensors": [t[..., :1] for t in c["tensors"]]}, "other parameters"),
        (lambda c: {**c, "tensors": 7}, "other parameters"),
    ],
)
def test_a_valid_checksum_vouches_for_no_content(digits, trained, tmp_path, change, message):
    path = tmp_path / "seeds-2.ckpt"
    content = torch.load(payload(path), weights_only=True)
    written(path, change({key: value for key, value in content.items() if key != "experiment"}))
    refused(f"seeds-2.ckpt .*{message}", digits, tmp_path)


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "zip", "pickle", "code", "text", "list", "no JSON", "null"]
)
def test_a_payload_that_is_none_is_one_line(digits, trained, tmp_path, damage):
    path = tmp_path / "seeds-2.ckpt"
    whole = payload(path).getvalue()

    def saved(content):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    signed(
        path,
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "zip": whole[:4] + bytes(1000),
            "pickle": pickle.dumps({"experiment": "{}"}),
            "code": pickle.dumps(Code()),
            "text": b"no tensors\n" * 100,
            "list": saved([1, 2]),
            "no JSON": saved({"experiment": "{"}),
            "null": saved({"experiment": "null"}),
        }[damage],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a word of torch's would be a second line
        refused(r"seeds-2.ckpt is damaged \(\w+\); delete it", digits, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_an_older_version_says_so(digits, trained, tmp_path):
    path = tmp_path / "seeds-2.ckpt"
    signed(path, payload(path).getvalue(), b"fracrepro checkpoint 1")
    refused("seeds-2.ckpt is of an older version, .* delete it", digits, tmp_path)


def test_trained_parameters_come_back_by_run(digits, tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        trained_parameters(tmp_path)
    train(SMALL.replace(epochs=1, learning_rate=1e-30), digits, checkpoint=tmp_path)
    runs = trained_parameters(tmp_path)
    assert set(runs) == {(scheme.name, None, seed) for scheme in SMALL.schemes for seed in SMALL.seeds}
    expected = initial_parameters(SMALL.network, make("xavier"), 1)
    for name, parameter in runs["xavier", None, 1].items():
        assert torch.equal(parameter, expected[name])


def test_atomic_writer_replaces_or_keeps(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with files.atomic_writer(target, "w") as file:
        file.write("first")
    with contextlib.suppress(Stopped), files.atomic_writer(target, "w") as file:
        file.write("second")
        raise Stopped
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]
