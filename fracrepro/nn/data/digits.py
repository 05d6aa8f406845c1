"""The 8×8 digits bundled with scikit-learn: real handwriting, and no network."""

from __future__ import annotations

import numpy as np

from fracrepro.nn.data.base import DataError, Dataset

# Of the 1797 images five stay unused: both parts are then whole batches of 16, and a run repeats bit for bit.
TRAIN_SIZE, TEST_SIZE = 1440, 352
SPLIT_SEED = 0
LABEL = "digits of scikit-learn"  # what tables call them
LEVELS = 16  # brightest pixel


def read() -> Dataset:
    """Return 1440 digits for training and 352 for testing, by a fixed shuffle, scaled to 0 … 255.

    Raises:
        DataError: when scikit-learn is not installed.

    Source:
        The split and the scale are ours.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "digits: scikit-learn carries them and is not installed; `pip install scikit-learn`"
        ) from error
    digits = load_digits()
    images = np.rint(digits.images * (255 / LEVELS)).astype(np.uint8)[:, np.newaxis]
    labels = digits.target.astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    test, train = order[:TEST_SIZE], order[TEST_SIZE : TEST_SIZE + TRAIN_SIZE]
    return Dataset("digits", images[train], labels[train], images[test], labels[test])
