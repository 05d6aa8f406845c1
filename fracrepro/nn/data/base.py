"""What a data set is, and what a module that knows how to find one offers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from fracrepro.errors import ArgumentError, FracreproError

CLASSES = 10  # in each of the sets


class DataError(FracreproError, RuntimeError):
    """A data set is missing, truncated or altered."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split into training and test set, read-only.

    Args:
        name: ``"digits"``, ``"mnist"``, ``"cifar10"``, or any name for data of one's own.
        train_images: uint8 of shape (n, channels, height, width).
        train_labels: uint8 of shape (n,), values 0 … 9.
        test_images: uint8 of shape (m, channels, height, width).
        test_labels: uint8 of shape (m,), values 0 … 9.

    Raises:
        ArgumentError: when types or shapes disagree with the above.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        """Check types and shapes, then make the arrays read-only."""
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.uint8 or images.ndim != 4:
                found = f"{images.dtype} of shape {images.shape}"
                raise ArgumentError(
                    f"{part}_images = {found}: need uint8 of shape (n, channels, height, width)"
                )
            if labels.dtype != np.uint8 or labels.shape != images.shape[:1] or not len(labels):
                found = f"{labels.dtype} of shape {labels.shape}"
                raise ArgumentError(
                    f"{part}_labels = {found}: need uint8 of shape {images.shape[:1]}, not empty"
                )
            if labels.max() >= CLASSES:
                raise ArgumentError(
                    f"{part}_labels = {labels.max()} at most: need values in [0, {CLASSES - 1}]"
                )
            for name in (f"{part}_images", f"{part}_labels"):
                view = getattr(self, name).view()  # the caller's own array stays writable
                view.flags.writeable = False
                object.__setattr__(self, name, view)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise ArgumentError(f"test_images = {self.test_images.shape}: need images as in training")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Return the sha256 over the four arrays, shapes included, for the record of an experiment."""
        total = hashlib.sha256()
        for field in fields(self)[1:]:
            array = getattr(self, field.name)
            total.update(f"{field.name}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


@dataclass(frozen=True)
class Source:
    """One data set on disk: where its files may be, and how to check, read and download them.

    Args:
        folders: names that its folder may have below ``$FRACREPRO_DATA``.
        wanted: the files, in words, for the message that asks for them.
        present: whether a folder holds the files, unread.
        read: verify and decode a folder's files; the second folder is the cache for what was decoded.
        download: bring the official files into a folder.
        check: read a folder's files and what the cache holds of them; a DataError names what is damaged. None
            where `read` does this each time.
        label: what tables call it; its own name where there is none.
    """

    folders: tuple[str, ...]
    wanted: str
    present: Callable[[Path], bool]
    read: Callable[[Path, Path], Dataset]
    download: Callable[[Path], None]
    check: Callable[[Path, Path], None] | None = None
    label: str = ""
