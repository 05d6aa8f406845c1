"""Protocols: the authors' settings as data, checked, copied and written as JSON."""

import json
import math

import pytest

from fracrepro.nn.experiments import CIFAR10, DIGITS, MNIST, PROTOCOLS, Protocol
from fracrepro.nn.schemes import make
from fracrepro.nn.training.network import Network


def test_mnist_has_the_authors_settings():
    assert MNIST.network.layer_shapes == ((64, 784), *[(64, 64)] * 18, (10, 64))
    assert (MNIST.batch_size, MNIST.epochs, MNIST.learning_rate, MNIST.weight_decay) == (128, 30, 0.01, 0.0)
    assert len(MNIST.seeds) == 20
    assert [scheme.name for scheme in MNIST.schemes] == ["fractional", "kaiming", "xavier", "random_walk"]
    assert MNIST.schemes[0] == make("fractional", s=1.0, formula="published")


def test_cifar10_has_the_authors_settings():
    assert CIFAR10.network.conv_shapes == ((6, 3, 5, 5), (16, 6, 5, 5))
    assert CIFAR10.network.layer_shapes == ((64, 400), *[(64, 64)] * 18, (10, 64))
    assert (CIFAR10.batch_size, CIFAR10.epochs, CIFAR10.weight_decay) == (512, 50, 1e-4)
    assert CIFAR10.augment
    assert len(CIFAR10.seeds) == 10
    assert [scheme.name for scheme in CIFAR10.schemes] == ["fractional", "kaiming", "xavier"]


def test_learning_rate_drops_tenfold_after_epochs_30_and_60():
    rates = {epoch: CIFAR10.replace(epochs=90).learning_rate_at(epoch) for epoch in (1, 30, 31, 60, 61)}
    assert rates == pytest.approx({1: 0.01, 30: 0.01, 31: 0.001, 60: 0.001, 61: 0.0001}, rel=1e-12)
    assert {MNIST.learning_rate_at(epoch) for epoch in (1, 30, 31, 60)} == {0.01}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_json_round_trip(protocol):
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
    assert hash(protocol) == hash(Protocol.from_dict(protocol.to_dict()))


def test_replace_checks_like_a_new_protocol():
    assert DIGITS.replace(seeds=range(5)).seeds == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="epochs = 0: need an integer in"):
        DIGITS.replace(epochs=0)
    with pytest.raises(ValueError, match="epoch: a Protocol has no such field"):
        DIGITS.replace(epoch=3)


BAD = [
    ({"name": ""}, "name = ''"),
    ({"dataset": "imagenet"}, "dataset = 'imagenet': need one of"),
    ({"network": "mlp"}, "network = 'mlp': need a Network"),
    ({"schemes": ()}, r"schemes = \(\): need at least one"),
    ({"schemes": ("kaiming",)}, "schemes = 'kaiming': need a Scheme"),
    ({"schemes": (make("kaiming"), make("kaiming"))}, "twice"),
    ({"seeds": ()}, r"seeds = \(\): need at least one"),
    ({"seeds": (1, 1)}, "seeds = 1 twice"),
    ({"seeds": (-1,)}, "seeds = -1"),
    ({"seeds": (0.5,)}, "seeds = "),
    ({"epochs": 0}, "epochs = 0"),
    ({"epochs": True}, "epochs = True"),
    ({"batch_size": 1.5}, "batch_size = 1.5"),
    ({"learning_rate": 0.0}, "learning_rate = 0.0"),
    ({"learning_rate": math.nan}, "learning_rate = nan"),
    ({"weight_decay": -1e-4}, "weight_decay = -0.0001"),
    ({"decay_every": 0}, "decay_every = 0"),
    ({"augment": 1}, "augment = 1"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_field_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        DIGITS.replace(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (28, 28)}, "image_shape"),
        ({"image_shape": (1, 0, 28)}, "image_shape = 0"),
        ({"image_shape": (3, 12, 12), "channels": (6, 16)}, "too small for 2 blocks"),
        ({"image_shape": (1, 8, 8), "depth": 0}, "depth = 0"),
        ({"image_shape": (1, 8, 8), "width": True}, "width = True"),
        ({"image_shape": (1, 8, 8), "negative_slope": -0.1}, "negative_slope = -0.1"),
        ({"image_shape": (1, 8, 8), "negative_slope": math.nan}, "negative_slope = nan"),
        ({"image_shape": (1, 8, 8), "channels": (0,)}, "channels = 0"),
    ],
)
def test_bad_network_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(**arguments)
