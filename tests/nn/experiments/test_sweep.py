"""Sweeps: every cell is the protocol it says, trained as if alone, and an interruption loses nothing."""

import pandas as pd
import pytest

from fracrepro.nn.experiments import DIGITS, MNIST, SWEEPS, Sweep
from fracrepro.nn.schemes import make
from fracrepro.nn.training import train

SMALL = Sweep(
    DIGITS.replace(
        name="small",
        schemes=[make("fractional", s=s, formula="exact") for s in (0.5, 2.0)],
        seeds=range(2),
        epochs=1,
    ),
    axes=[("depth", (3, 2)), ("learning_rate", (0.01, 0.1))],
)


@pytest.fixture(scope="module")
def results():
    return SMALL.run(device="cpu", progress=False)


def test_cells_are_the_protocol_with_the_values_of_the_axes():
    cells = SMALL.cells()
    assert [cell for cell, _ in cells] == [
        {"depth": 3, "learning_rate": 0.01},
        {"depth": 3, "learning_rate": 0.1},
        {"depth": 2, "learning_rate": 0.01},
        {"depth": 2, "learning_rate": 0.1},
    ]
    for cell, protocol in cells:
        assert protocol.network.depth == cell["depth"]
        assert protocol.learning_rate == cell["learning_rate"]
        assert protocol.network.width == DIGITS.network.width
        assert protocol.seeds == (0, 1)


def test_each_cell_trains_as_if_alone(results):
    assert list(results.columns[:6]) == ["experiment", "depth", "learning_rate", "scheme", "s", "seed"]
    assert len(results) == 4 * 2 * 2
    cell, protocol = SMALL.cells()[3]
    alone = train(protocol, device="cpu", progress=False)
    query = results.query("depth == 2 and learning_rate == 0.1").drop(columns=list(cell))
    pd.testing.assert_frame_equal(
        query.drop(columns="seconds").reset_index(drop=True), alone.drop(columns="seconds")
    )


def test_a_stopped_sweep_continues(results, tmp_path, monkeypatch):
    calls = []

    def stops(protocol, *arguments, **options):
        calls.append(protocol)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(protocol, *arguments, **options)

    monkeypatch.setattr("fracrepro.nn.experiments.protocol.train", stops)
    with pytest.raises(KeyboardInterrupt):
        SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "depth=3,learning_rate=0.01",
        "depth=3,learning_rate=0.1",
    ]
    steps = []
    from fracrepro.nn.training.lanes import Lane

    advance = Lane.advance
    monkeypatch.setattr(Lane, "advance", lambda lane, *rest: (steps.append(lane), advance(lane, *rest))[1])
    again = SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    assert len(steps) == 2 * 2  # two cells of two lanes and one epoch were left
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), results.drop(columns="seconds"))


def test_the_recorded_sweeps_cross_the_axis_with_the_slope():
    for name, axis in (("mnist_depth", "depth"), ("mnist_width", "width")):
        sweep = SWEEPS[name]
        assert sweep.name == name
        assert [key for key, _ in sweep.axes] == [axis, "negative_slope"]
        assert {scheme.s for scheme in sweep.protocol.schemes} == {0.25, 1.0, 2.0}
        for _, protocol in sweep.cells():
            assert protocol.batch_size == MNIST.batch_size
            assert protocol.learning_rate == MNIST.learning_rate
    shared = [dict(cell) | {"width": 64} for cell, _ in SWEEPS["mnist_depth"].cells()]
    assert {"depth": 20, "negative_slope": 0.01, "width": 64} in shared


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([("layers", (3,))], "axis = 'layers'"),
        ([("depth", ())], r"depth = \(\)"),
        ([("depth", (3, 3))], "depth = 3 twice"),
        ([("depth", (3,)), ("depth", (4,))], "axes = 'depth' twice"),
        ([("depth", (3, 0))], "depth = 0"),
        ([("learning_rate", (-1.0,))], r"learning_rate = -1\.0"),
        ([], r"axes = \(\)"),
    ],
)
def test_bad_axes_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        Sweep(DIGITS, axes)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="protocol"):
        Sweep(DIGITS.network, [("depth", (3,))])
    with pytest.raises(ValueError, match="device = 'tpu'"):
        SMALL.run(device="tpu")
