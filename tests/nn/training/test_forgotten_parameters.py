"""What has ended holds no parameters that nobody needs: neither in memory nor, for a table, in its files."""

import gc
import weakref

import pandas as pd
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS
from fracrepro.nn.schemes import make
from fracrepro.nn.training.checkpoints import (
    CheckpointError,
    forget_parameters,
    read_checkpoint,
    trained_parameters,
    write_checkpoint,
)
from fracrepro.nn.training.lanes import Lane
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.pieces import collect, pieces
from fracrepro.nn.training.trainer import train

SMALL = DIGITS.replace(
    network=Network((1, 8, 8), depth=3, width=16), schemes=(make("kaiming"),), seeds=range(4), epochs=2
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def whole(digits):
    return train(SMALL, digits).drop(columns="seconds")


def same(results, expected):
    pd.testing.assert_frame_equal(results.drop(columns="seconds"), expected, check_exact=True)


def advanced(folder, digits, epochs):
    """The checkpoints of both lanes, after so many epochs each."""
    for piece, count in zip(pieces(SMALL, "cpu"), epochs, strict=True):
        state = None
        for _ in range(count):
            state = piece.advance(digits, state, seconds=0)
        (folder / state.file).write_bytes(state.content)
    return sorted(folder.glob("*.ckpt"))


@pytest.mark.parametrize("collected", [False, True])
def test_a_lane_that_has_ended_lets_go(digits, tmp_path, monkeypatch, collected):
    alive, release = [], Lane.release

    def watched(lane):
        ensemble = weakref.ref(lane.ensemble)
        release(lane)
        gc.collect()
        alive.append(ensemble() is not None)

    if collected:
        advanced(tmp_path, digits, (2, 2))
    monkeypatch.setattr(Lane, "release", watched)
    if collected:
        collect(SMALL, digits, tmp_path, "cpu")
    else:
        train(SMALL, digits, threads=1)
    assert alive == [False, False]


def test_only_what_has_ended_forgets_and_training_goes_on_from_there(digits, whole, tmp_path):
    ended, begun = advanced(tmp_path, digits, (2, 1))
    before = [path.stat().st_size for path in (ended, begun)]
    forget_parameters(tmp_path)
    assert ended.stat().st_size < before[0] / 3
    assert begun.stat().st_size == before[1]
    assert read_checkpoint(ended)["tensors"] == []
    same(train(SMALL, digits, checkpoint=tmp_path), whole)
    forget_parameters(tmp_path)
    forget_parameters(tmp_path)  # nothing is left to forget
    same(collect(SMALL, digits, tmp_path, "cpu"), whole)
    same(train(SMALL, digits, checkpoint=tmp_path), whole)


def test_folders_below_are_looked_at_too_and_damage_is_named(digits, tmp_path):
    below = tmp_path / "cell"
    below.mkdir()
    ended, begun = advanced(below, digits, (2, 2))
    forget_parameters(tmp_path)
    assert [read_checkpoint(path)["tensors"] for path in (ended, begun)] == [[], []]
    begun.write_bytes(begun.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        forget_parameters(tmp_path)


def test_parameters_that_are_gone_are_not_made_up(digits, tmp_path):
    advanced(tmp_path, digits, (2, 2))
    assert len(trained_parameters(tmp_path)) == 4
    forget_parameters(tmp_path)
    with pytest.raises(CheckpointError, match="holds other parameters than its experiment has"):
        trained_parameters(tmp_path)


def test_a_piece_that_has_ended_stays_as_it_is(digits, tmp_path):
    path, _ = advanced(tmp_path, digits, (2, 2))
    piece, _ = pieces(SMALL, "cpu")
    for forgotten in (False, True):
        if forgotten:
            forget_parameters(tmp_path)
        state = piece.read(tmp_path, digits, "cpu")
        assert state.content == path.read_bytes()
        assert piece.advance(digits, state) == state


def test_a_file_without_parameters_that_has_not_ended_is_refused(digits, tmp_path):
    path, _ = advanced(tmp_path, digits, (1, 2))
    content = read_checkpoint(path)
    described = content.pop("experiment")
    write_checkpoint(path, described, content | {"tensors": []})
    with pytest.raises(CheckpointError, match="holds other parameters than its experiment has"):
        train(SMALL, digits, checkpoint=tmp_path)


@pytest.mark.parametrize("epochs", [0, 3])
def test_epochs_out_of_range_are_refused_with_and_without_parameters(digits, tmp_path, epochs):
    path, _ = advanced(tmp_path, digits, (2, 2))
    content = read_checkpoint(path)
    described = content.pop("experiment")
    figures = torch.zeros(epochs, *content["figures"].shape[1:], dtype=torch.float64)
    for tensors in (content["tensors"], []):
        write_checkpoint(path, described, {"figures": figures, "tensors": tensors})
        with pytest.raises(CheckpointError, match=f"holds {epochs} epochs: need 1 to 2"):
            train(SMALL, digits, checkpoint=tmp_path)
