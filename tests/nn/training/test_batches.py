"""Batched order, augmentation and normalization against one image at a time."""

import numpy as np
import pytest
import torch

from fracrepro.nn.training import batches


def reference_crop_and_flip(image, top, left, flip):
    """One image with numpy, as a data loader would: pad with black, cut, mirror."""
    channels, height, width = image.shape
    padded = np.zeros((channels, height + 8, width + 8), image.dtype)
    padded[:, 4:-4, 4:-4] = image
    cut = padded[:, top : top + height, left : left + width]
    return cut[:, :, ::-1] if flip else cut


def test_augmentation_equals_the_per_image_reference():
    n = 500
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    top, left, flip = batches.augmentation((5,), 1, n)[:, 0]
    ours = batches.crop_and_flip(torch.tensor(images), top, left, flip).numpy()
    for i in range(n):
        expected = reference_crop_and_flip(images[i], int(top[i]), int(left[i]), int(flip[i]))
        np.testing.assert_array_equal(ours[i], expected)


def test_middle_crop_without_flip_is_the_image():
    images = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8)
    four, none = torch.full((7,), 4), torch.zeros(7, dtype=torch.int64)
    assert torch.equal(batches.crop_and_flip(images, four, four, none), images)


def test_draws_of_the_augmentation_are_uniform():
    # 50 000 draws: a cell of 9 has mean 5556 and deviation 70, one of 2 has 25 000 and 112.
    # Bounds at 5 deviations over 20 cells: a false-alarm rate of 1e-5, and the seed is fixed.
    top, left, flip = batches.augmentation((3,), 2, 50_000)[:, 0]
    for crop in (top, left):
        counts = np.bincount(crop, minlength=9)
        assert len(counts) == 9
        assert np.abs(counts - 50_000 / 9).max() < 5 * 70
    assert abs(flip.sum().item() - 25_000) < 5 * 112


def test_order_is_a_permutation_fixed_by_seed_and_epoch():
    one = batches.order((1, 2), 1, 100)
    assert [sorted(row) for row in one.tolist()] == [list(range(100))] * 2
    assert torch.equal(one[1], batches.order((2,), 1, 100)[0])
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], batches.order((1,), 2, 100)[0])


def test_normalization_maps_to_minus_one_to_one():
    pixels = torch.arange(256, dtype=torch.uint8)
    expected = (np.arange(256) / 255 - 0.5) / 0.5
    # Two roundings of float32 at most 1.2e-7 each.
    assert batches.normalize(pixels).numpy() == pytest.approx(expected, abs=2.4e-7)
    assert batches.normalize(pixels)[0] == -1
