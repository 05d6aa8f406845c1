"""Data sets: found in the stated order, verified before use, and one clear answer when they are missing."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import struct
import sys
import tarfile
import threading

import numpy as np
import pytest

from fracrepro.files import file_digest
from fracrepro.nn import data
from fracrepro.nn.data import DataError, Dataset
from fracrepro.nn.data import cifar10 as _cifar10
from fracrepro.nn.data import download as _download
from fracrepro.nn.data import mnist as _mnist

HAVE_DATA = os.environ.get("FRACREPRO_DATA")
needs_data = pytest.mark.skipif(not HAVE_DATA, reason="FRACREPRO_DATA is not set")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty $FRACREPRO_DATA, an empty cache, and a network that refuses."""

    def refuse(urls, path, known_hash, largest):
        raise OSError("no network in tests")

    monkeypatch.setenv("FRACREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(data, "_cache", lambda: tmp_path / "cache")
    for module in (_mnist, _cifar10):
        monkeypatch.setattr(module, "download_file", refuse)
    return tmp_path


@pytest.fixture
def small_mnist(monkeypatch):
    """Shrink the official files to 20 and 10 images of noise; return their gzip contents."""
    rng = np.random.default_rng(0)
    files, contents = {}, {}
    for name, (_, _, shape) in _mnist.FILES.items():
        shape = (20 if "train" in name else 10, *shape[1:])
        raw = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape)
        raw += rng.integers(0, 10, shape, dtype=np.uint8).tobytes()
        contents[name] = gzip.compress(raw, mtime=0)
        files[name] = (hashlib.md5(contents[name]).hexdigest(), hashlib.md5(raw).hexdigest(), shape)
    monkeypatch.setattr(_mnist, "FILES", files)
    return contents


@pytest.fixture
def small_cifar10(monkeypatch):
    """Shrink the six batches to 8 records each; return their contents."""
    rng = np.random.default_rng(0)
    batches = {}
    for name in (*_cifar10.BATCHES["train"], *_cifar10.BATCHES["test"]):
        records = rng.integers(0, 256, (8, _cifar10.RECORD), dtype=np.uint8)
        records[:, 0] %= 10
        batches[name] = records.tobytes()
    digests = {}
    for part, names in _cifar10.BATCHES.items():
        joined = b"".join(batches[name] for name in names)
        records = sorted(joined[i : i + _cifar10.RECORD] for i in range(0, len(joined), _cifar10.RECORD))
        digests[part] = hashlib.sha256(b"".join(records)).hexdigest()
    monkeypatch.setattr(_cifar10, "BATCH_SIZE", 8)
    monkeypatch.setattr(_cifar10, "SORTED_SHA256", digests)
    return batches


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_digits_are_fixed_and_need_no_network():
    digits = data.load("digits")
    assert digits.train_images.shape == (1440, 1, 8, 8)
    assert digits.test_images.shape == (352, 1, 8, 8)
    assert digits.train_images.max() == 255
    assert digits.digest == data.load("digits").digest
    # A tenth of each digit, give or take: the split is not by class.
    assert np.bincount(digits.test_labels, minlength=10).min() > 20


def test_import_stays_light():
    # A fresh interpreter would cost seconds; the module's own globals say as much.
    assert not {"pooch", "sklearn", "requests", "pandas"} & set(vars(data)) | set(vars(_download)) & {"pooch"}
    assert "requests" not in vars(sys.modules["fracrepro.nn.data.mnist"])


@pytest.mark.parametrize("place", ["data/mnist", "cache/mnist"])
def test_mnist_is_read_from_either_folder(places, small_mnist, place):
    put(places / place, small_mnist)
    mnist = data.load("mnist")
    raw = gzip.decompress(small_mnist["train-images-idx3-ubyte.gz"])
    assert mnist.train_images.tobytes() == raw[16:]
    assert mnist.test_labels.tobytes() == gzip.decompress(small_mnist["t10k-labels-idx1-ubyte.gz"])[8:]
    assert data.status("mnist")[0]["where"] == str(places / place)
    assert data.verify("mnist") == mnist.digest
    assert not mnist.train_images.flags.writeable


def test_another_gzip_wrapper_with_official_content_is_accepted(places, small_mnist):
    put(places / "data/mnist", {n: gzip.compress(gzip.decompress(c), 1) for n, c in small_mnist.items()})
    assert data.load("mnist").train_images.shape == (20, 1, 28, 28)


@pytest.mark.parametrize("damage", ["truncated", "altered", "not gzip"])
@pytest.mark.parametrize("name", _mnist.FILES)
def test_damaged_mnist_file_is_named_with_both_checksums(places, small_mnist, name, damage):
    content = small_mnist[name]
    raw = gzip.decompress(content)
    small_mnist[name] = {
        "truncated": content[:-20],
        "altered": gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1])),
        "not gzip": raw,
    }[damage]
    put(places / "data/mnist", small_mnist)
    with pytest.raises(DataError, match=rf"{name} is .*{_mnist.FILES[name][1]}.* md5 [0-9a-f]{{32}}$"):
        data.load("mnist")


def test_data_are_read_where_md5_may_not_serve_security(places, small_mnist, tmp_path, monkeypatch):
    """Some systems refuse md5 unless the caller says that security does not rest on it."""

    def guarded(function):
        def only(*arguments, usedforsecurity=True):
            if usedforsecurity:
                raise ValueError("disabled for FIPS")
            return function(*arguments, usedforsecurity=usedforsecurity)

        return only

    put(places / "data/mnist", small_mnist)
    monkeypatch.setattr(hashlib, "md5", guarded(hashlib.md5))
    monkeypatch.setattr(hashlib, "new", guarded(hashlib.new))
    with pytest.raises(ValueError, match="FIPS"):
        hashlib.md5(b"")
    assert len(data.load("mnist").train_labels) == 20
    (tmp_path / "empty").write_bytes(b"")
    assert file_digest(tmp_path / "empty", "md5") == "d41d8cd98f00b204e9800998ecf8427e"  # RFC 1321


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_missing_data_names_the_three_ways(places, name):
    with pytest.raises(DataError, match=r"no network in tests.*\(1\).*FRACREPRO_DATA.*\(2\).*cache.*\(3\)"):
        data.load(name)
    assert data.status(name)[0]["where"] is None
    with pytest.raises(DataError, match="nothing to verify"):
        data.verify(name)


def test_unknown_name_is_refused():
    for function in (data.load, data.fetch, data.verify, data.status):
        with pytest.raises(ValueError, match="name = 'minst': need one of"):
            function("minst")
    with pytest.raises(ValueError, match="name = 'digits'"):
        data.fetch("digits")


def test_cifar10_is_sorted_remembered_and_memory_mapped(places, small_cifar10, monkeypatch):
    put(places / "data/cifar-10-batches-bin", small_cifar10)
    first = data.load("cifar10")
    records = np.concatenate([first.train_labels[:, None], first.train_images.reshape(40, -1)], axis=1)
    assert [bytes(r) for r in records] == sorted(bytes(r) for r in records)
    assert isinstance(first.train_images, np.memmap)
    monkeypatch.setattr(_cifar10, "_decode", lambda *_: pytest.fail("decoded twice"))
    assert data.load("cifar10").digest == first.digest


def test_cifar10_from_archive_and_from_shuffled_folder_agree(places, small_cifar10, monkeypatch):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, batch in small_cifar10.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(batch)
            archive.addfile(member, io.BytesIO(batch))
    monkeypatch.setattr(_cifar10, "ARCHIVE_MD5", hashlib.md5(content.getvalue()).hexdigest())
    put(places / "cache/cifar10", {"cifar-10-binary.tar.gz": content.getvalue()})
    from_archive = data.load("cifar10").digest
    half = 4 * _cifar10.RECORD
    shuffled = {name: batch[half:] + batch[:half] for name, batch in small_cifar10.items()}
    put(places / "data/cifar-10-batches-bin", shuffled)
    assert data.load("cifar10").digest == from_archive
    put(places / "data", {"cifar-10-binary.tar.gz": content.getvalue()[:-1]})
    for name in shuffled:
        (places / "data/cifar-10-batches-bin" / name).unlink()
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is truncated or altered: expected md5"):
        data.load("cifar10")


def test_damaged_cifar10_is_named_and_not_remembered(places, small_cifar10):
    folder = places / "data/cifar-10-batches-bin"
    put(folder, small_cifar10)
    data.load("cifar10")
    batch = small_cifar10["test_batch.bin"]
    put(folder, {"test_batch.bin": batch[:-1]})
    for _ in range(2):
        with pytest.raises(DataError, match=r"test_batch.bin is truncated: .* 24584 bytes, found 24583"):
            data.load("cifar10")
    put(folder, {"test_batch.bin": batch[:-1] + bytes([batch[-1] ^ 1])})
    with pytest.raises(DataError, match=r"test_batch.bin is altered: .*sha256 [0-9a-f]{64}, found"):
        data.load("cifar10")


def flip(path, place=-1):
    """Turn one bit over; size and date stay."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("place", [-1, 200, 20])  # the last byte, the content, the header
@pytest.mark.parametrize("key", _cifar10.ARRAYS)
def test_one_flipped_bit_of_a_cached_array_is_found(places, small_cifar10, key, place):
    put(places / "data/cifar-10-batches-bin", small_cifar10)
    digest = data.load("cifar10").digest
    path = places / f"cache/cifar10/{key}.npy"
    before = path.read_bytes()
    place = place if place < len(before) else -2
    flip(path, place)
    with pytest.raises(DataError, match=rf"{key}.npy is truncated or altered; delete it"):
        data.verify("cifar10")
    assert data.load("cifar10").digest == digest  # a use decodes again, and repairs the cache
    assert path.read_bytes() == before
    assert data.verify("cifar10") == digest


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"[1, 2]" * 100, None])
def test_a_cached_array_that_is_none_is_decoded_again(places, small_cifar10, damage):
    put(places / "data/cifar-10-batches-bin", small_cifar10)
    digest = data.load("cifar10").digest
    path = places / "cache/cifar10/test_images.npy"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert data.load("cifar10").digest == digest


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[1]", b"\xff", b"{}"])
def test_a_damaged_note_of_what_was_verified_costs_a_decoding(places, small_cifar10, damage):
    put(places / "data/cifar-10-batches-bin", small_cifar10)
    digest = data.load("cifar10").digest
    note = places / "cache/cifar10/verified.json"
    before = note.read_bytes()
    note.write_bytes(damage)
    assert data.load("cifar10").digest == digest
    assert note.read_bytes() == before


def test_verify_reads_the_official_files_too(places, small_cifar10):
    folder = places / "data/cifar-10-batches-bin"
    put(folder, small_cifar10)
    data.load("cifar10")
    flip(folder / "data_batch_3.bin")
    with pytest.raises(DataError, match=r"data_batch_3\.bin"):
        data.verify("cifar10")


def test_cifar10_works_where_the_cache_cannot_be_written(places, small_cifar10):
    put(places / "data/cifar-10-batches-bin", small_cifar10)
    (places / "cache").write_text("a file where a folder should be")
    assert data.load("cifar10").train_images.shape == (40, 3, 32, 32)


class Mirror(http.server.SimpleHTTPRequestHandler):
    """A mirror on loopback that answers range requests and notes them."""

    ranges: list = []  # noqa: RUF012  # shared by the handler's instances on purpose

    def do_GET(self):
        wanted = self.headers.get("Range", "bytes=0-")
        self.ranges.append(wanted)
        with open(self.translate_path(self.path), "rb") as file:
            content = file.read()
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "SCHEMES", ("http",))  # no certificate on loopback
    root = tmp_path / "mirror"
    root.mkdir()
    Mirror.ranges.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Mirror, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_download_tries_mirrors_and_continues_a_part(mirror, tmp_path):
    root, url = mirror
    content = bytes(range(256)) * 1000
    (root / "file.bin").write_bytes(content)
    (root / "bad").mkdir()
    (root / "bad" / "file.bin").write_bytes(b"not the file")
    known = f"md5:{hashlib.md5(content).hexdigest()}"
    target = tmp_path / "cache" / "file.bin"
    _download.download_file([f"{url}bad/file.bin", f"{url}file.bin"], target, known, 10**6)
    assert target.read_bytes() == content
    target.unlink()
    (tmp_path / "cache" / "file.bin.part").write_bytes(content[:1000])
    _download.download_file([f"{url}file.bin"], target, known, 10**6)
    assert target.read_bytes() == content
    assert Mirror.ranges[-1] == "bytes=1000-"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_download_that_matches_nowhere_leaves_nothing(mirror, tmp_path):
    root, url = mirror
    (root / "file.bin").write_bytes(b"altered")
    with pytest.raises(DataError, match="does not match the known hash"):
        _download.download_file([f"{url}file.bin"], tmp_path / "cache" / "file.bin", "md5:" + "0" * 32, 10**6)
    assert list((tmp_path / "cache").iterdir()) == []


def test_downloads_go_over_tls_only(mirror, tmp_path, monkeypatch):
    root, url = mirror
    (root / "file.bin").write_bytes(b"right")
    known = f"md5:{hashlib.md5(b'right').hexdigest()}"
    monkeypatch.setattr(_download, "SCHEMES", ("https",))
    with pytest.raises(DataError, match="need an address that begins with https://"):
        _download.download_file([f"{url}file.bin"], tmp_path / "cache" / "file.bin", known, 10**6)
    assert Mirror.ranges == []  # nobody was asked
    for module in (_mnist, _cifar10):
        assert all(address.startswith("https://") for address in module.MIRRORS)


def test_a_redirect_away_from_tls_is_not_followed(mirror, tmp_path, monkeypatch):
    import requests

    _, url = mirror
    answer = requests.Response()
    answer.status_code, answer.url, answer.headers["Location"] = (
        302,
        "https://example.org/a",
        f"{url}file.bin",
    )
    monkeypatch.setattr(_download, "SCHEMES", ("https",))
    with pytest.raises(DataError, match=f"'{url}file.bin': need an address"):
        _download._session().get_redirect_target(answer)
    for target in ("https://example.org/b", "/b", "//example.org/b"):
        answer.headers["Location"] = target
        assert _download._session().get_redirect_target(answer) == target


def test_a_redirect_is_refused_before_it_is_followed(mirror, tmp_path, monkeypatch):
    _, url = mirror
    asked = []

    def redirect(self):
        asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere" if "far" in self.path else "/far.bin")
        self.end_headers()

    monkeypatch.setattr(Mirror, "do_GET", redirect)
    check = _download.check_address

    def near(address):  # stands for TLS: this server is within, all others without
        check(address)
        if not address.startswith(url):
            raise DataError(f"{address!r}: need an address that begins with https://")

    monkeypatch.setattr(_download, "check_address", near)
    with pytest.raises(DataError, match=r"'http://127\.0\.0\.1:9/elsewhere': need an address"):
        _download.download_file([f"{url}file.bin"], tmp_path / "cache" / "file.bin", "md5:" + "0" * 32, 10**6)
    assert asked == ["/file.bin", "/far.bin"]


def test_a_download_without_end_is_left(mirror, tmp_path):
    root, url = mirror
    content = bytes(200_000)
    (root / "file.bin").write_bytes(content)
    known = f"md5:{hashlib.md5(content).hexdigest()}"
    target = tmp_path / "cache" / "file.bin"
    with pytest.raises(DataError, match="more than 199,999 bytes came"):
        _download.download_file([f"{url}file.bin"], target, known, 199_999)
    assert list((tmp_path / "cache").iterdir()) == []
    _download.download_file([f"{url}file.bin"], target, known, 200_000)
    assert target.stat().st_size == 200_000


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_images", np.zeros((3, 1, 2, 2)), "train_images = float64"),
        ("train_images", np.zeros((3, 4), np.uint8), "need uint8 of shape"),
        ("train_labels", np.zeros(2, np.uint8), "train_labels = uint8 of shape"),
        ("train_labels", np.full(3, 10, np.uint8), "train_labels = 10 at most"),
        ("test_images", np.zeros((3, 1, 5, 5), np.uint8), "test_images = .*: need images as in training"),
    ],
)
def test_dataset_refuses_arrays_that_do_not_fit(field, value, message):
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    with pytest.raises(ValueError, match=message):
        Dataset("own", **(arrays | {field: value}))


@pytest.mark.mnist
@needs_data
def test_real_mnist():
    mnist = data.load("mnist")
    assert mnist.train_images.shape == (60000, 1, 28, 28)
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.cifar10
@needs_data
def test_real_cifar10(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_cache", lambda: tmp_path)
    cifar = data.load("cifar10")
    assert cifar.train_images.shape == (50000, 3, 32, 32)
    assert np.bincount(cifar.test_labels).tolist() == [1000] * 10
