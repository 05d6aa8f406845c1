"""Writing and checking files: a reader finds the old content or the new one, never a part.

What is being written is locked by its process, and the system releases a lock when its process dies, however
that happens: so a temporary file or folder that nobody holds is a stray, and the next write sweeps it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fracrepro.errors import ArgumentError, BusyError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and nothing swept
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DISK_ERRORS",
    "atomic_writer",
    "exchange",
    "file_digest",
    "lock",
    "read_json",
    "read_text",
    "sweep_folders",
    "temporary_folder",
    "writable_folder",
    "write_json",
    "write_text",
]

_RANDOM = "[a-z0-9_]{8}"  # what tempfile puts into a name
#: Errors of a disk, not of a name; the system reports them for an open file, which has none.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path` and rename it to `path` once everything is on the disk.

    When the block raises, or the disk is full, the temporary file goes and `path` stays as it was.
    A temporary file of `path` that a killed process left is swept first.

    Args:
        path: the file to replace; its folder is made where missing.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text.

    Yields:
        The open temporary file.

    Raises:
        OSError: when the folder or the file cannot be written; names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent, f".{path.name}.", ".part")
    with _naming(path):
        handle, temporary = _locked_file(path)
        held = os.dup(handle)  # keeps the lock until the file has its name
        try:
            with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # the rename must not overtake the content
            if fcntl is None:
                os.close(held)  # Windows renames no open file
                held = -1
            os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            if held >= 0:
                os.close(held)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file that was to be written: one on a handle names none."""
    try:
        yield
    except OSError as error:
        ours = str(error.filename or "").startswith(str(path.parent / f".{path.name}."))
        if ours or (error.filename is None and error.errno in DISK_ERRORS):
            error.filename, error.filename2 = str(path), None
        raise


def _locked_file(path: Path) -> tuple[int, str]:
    """A new temporary file for `path`, held by this process."""
    while True:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        _hold(handle)
        if os.path.exists(temporary):  # else it was swept before it was held
            return handle, temporary
        os.close(handle)


def _hold(handle: int, wait: bool = True) -> bool | None:
    """Lock an open file or folder until it is closed or the process ends.

    Returns False when another one holds it, and None where there are no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _sweep(folder: Path, prefix: str, suffix: str = "") -> None:
    """Delete temporary files and folders of this name that nobody holds; others stay."""
    pattern = re.compile(re.escape(prefix) + _RANDOM + re.escape(suffix))
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        strays = [entry.path for entry in entries if pattern.fullmatch(entry.name)]
        for stray in strays:
            with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
                _sweep_one(stray)


def _sweep_one(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        facts = os.fstat(handle)
        if facts.st_uid == getattr(os, "geteuid", lambda: facts.st_uid)() and _hold(handle, wait=False):
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
    finally:
        os.close(handle)


def sweep_folders(prefix: str, parent: str | os.PathLike[str] | None = None) -> None:
    """Delete folders of :func:`temporary_folder` that killed processes left.

    Args:
        prefix: as there.
        parent: as there.
    """
    _sweep(Path(parent or tempfile.gettempdir()), prefix)


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Make a folder that goes when the block ends; one of this prefix that a killed process left is swept.

    Args:
        prefix: how its name begins.
        parent: where it is made; None means the system's folder for temporary files.

    Yields:
        The folder.

    Raises:
        OSError: when it cannot be made.
    """
    place = Path(parent or tempfile.gettempdir())
    sweep_folders(prefix, place)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        handle = -1
        with contextlib.suppress(FileNotFoundError):
            handle = -1 if fcntl is None else os.open(folder, os.O_RDONLY)
            if handle < 0 or _hold(handle) is None or folder.exists():
                break
            os.close(handle)  # swept before it was held
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle >= 0:
            os.close(handle)


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], work: str) -> Iterator[None]:
    """Hold `path` while the block runs, so that no other process does the same work.

    The system releases it when the process ends, also by a kill; the file then stays and means nothing.

    Args:
        path: the lock file; its folder is made where missing.
        work: what is being done, for the message.

    Raises:
        BusyError: when another process holds it; names that process.
        OSError: when the file cannot be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _hold(handle, wait=False) is False:
            holder = os.read(handle, 1000).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise BusyError(f"{work}: {holder} is doing this; wait for it, or end it")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                break
        os.close(handle)  # the one who held it has deleted it meanwhile
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with _naming(path):
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {_host()} since {since}\n".encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "this machine")


def exchange(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> None:
    """Exchange two files or folders in one step of the file system, so that neither name is ever empty.

    Raises:
        NotImplementedError: where the system or the file system cannot do this.
        OSError: when it fails.
    """
    names = [os.fsencode(first), os.fsencode(second)]
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        failed = library.renameat2(-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(names[0], names[1], 2)  # RENAME_SWAP
    else:
        raise NotImplementedError("this system cannot exchange two names")
    if failed:
        code = ctypes.get_errno()
        if code in _UNSUPPORTED:
            raise NotImplementedError("this file system cannot exchange two names")
        raise OSError(code, os.strerror(code), os.fspath(first), None, os.fspath(second))


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the content of a text file.

    Raises:
        ArgumentError: when it is not UTF-8; names it.
        OSError: when it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ArgumentError(f"{path}: not a text file in UTF-8") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return the content of a JSON file.

    Raises:
        ArgumentError: when it holds something else; names it.
        OSError: when it cannot be read.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, or too deep
        raise ArgumentError(f"{path}: not valid JSON: {str(error).splitlines()[0]}") from None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_writer(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinities, which JSON lacks, are refused."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def writable_folder(name: str, folder: str | os.PathLike[str]) -> Path:
    """Make `folder` where missing and return it: a user learns before the work that its result has no place.

    Args:
        name: the argument that named the folder, for the message.
        folder: where results will be written.

    Raises:
        ArgumentError: when the folder cannot be made or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise ArgumentError(f"{name} = {str(path)!r}: need a folder that can be written to")
    return path


def file_digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's content.

    Raises:
        OSError: when the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _umask() -> int:
    """The process's file mask, which Python can read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
