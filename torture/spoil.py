"""Ways to damage a file: bytes, lines, and the values of a mapping or a list that is written as YAML or JSON.

Each way takes a `random.Random` and returns the damaged bytes, so that a seed names a case.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import yaml

#: The file that a shell string, a tag or a pickle would make, if any were carried out.
CANARY = "owned"

VALUES: tuple[Any, ...] = (
    *(None, True, False, "", " ", [], {}, [[]], [None], {"a": 1}, 0, -1, 0.5, 1e-300, 1e300),
    *(float("nan"), float("inf"), float("-inf"), 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *("x" * 5000, "1e999", "nan", "0x10", "1_000", "1:30", "yes", "2001-99-99", "ä", "\u202e", "a\nb", "\t"),
    *("../../etc/passwd", "/etc/passwd", "..", ".", "a/b", "\x1b[31m", "\x00", "%s%n", "{0}", "-", "--help"),
    *(f"$(touch {CANARY})", f"; touch {CANARY}", f"`touch {CANARY}`", f"| touch {CANARY}", "'\"", "~"),
    *([1, "a"], list(range(3000)), {"": ""}, {"..": []}),
)
_TAGS = (
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    f"!!python/object/new:subprocess.Popen [['touch', '{CANARY}']]",
    "!!python/name:os.system",
    "!!python/tuple [1, 2]",
    "!!binary aGVsbG8=",
    "!!set {a, b}",
    "!!timestamp 2001-12-14",
    "!!omap [a: 1]",
    "!!float x",
    "!!int ''",
    "!!bool maybe",
    "!local 3",
    ".nan",
    "0x" + "f" * 9000,
    "1" * 6000,
    "190:20:30",
    "*nobody",
    "&a [*a]",
    "&a {a: *a}",
    "{<<: {a: 1}}",
    "{<<: 3}",
    "? [a]\n: 1",
    "{[a]: 1}",
    "{{a: 1}: 2}",
)


def spoil(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    """Return the name of the way that was taken, and the damaged bytes.

    Args:
        content: of the whole file.
        kind: ``"yaml"``, ``"json"``, ``"text"`` or ``"bytes"``.
        random: makes every choice.
    """
    ways = list(BYTES)
    if kind != "bytes":
        ways += LINES * 2
    if kind in STRUCTURES:
        ways += [STRUCTURES[kind]] * 12
    if kind == "yaml":
        ways += [tagged, bomb, merge_bomb] * 2
    way = random.choice(ways)
    return way.__name__, way(content, random)


def flip(content: bytes, random: Random) -> bytes:
    """Flip up to eight bits."""
    damaged = bytearray(content)
    for _ in range(random.randint(1, 8) if damaged else 0):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def cut(content: bytes, random: Random) -> bytes:
    """Lose the end."""
    return content[: random.randrange(len(content) + 1)]


def lose(content: bytes, random: Random) -> bytes:
    """Lose a piece in the middle."""
    first = random.randrange(len(content) + 1)
    return content[:first] + content[first + random.randint(1, 64) :]


def repeat(content: bytes, random: Random) -> bytes:
    """Have a piece several times."""
    first = random.randrange(len(content) + 1)
    piece = content[first : first + random.randint(1, 64)]
    return content[:first] + piece * random.randint(2, 50) + content[first + len(piece) :]


def insert(content: bytes, random: Random) -> bytes:
    """Have bytes in the middle that are no text, or mean much."""
    pieces = (
        b"\xff\xfe",
        b"\x00",
        b"\xed\xa0\x80",
        b"\x1b[2J",
        b"\r",
        b"\xc2\x85",
        b"&a ",
        b"*a",
        b"%",
        b"9" * 400,
    )
    place = random.randrange(len(content) + 1)
    return content[:place] + random.choice(pieces) * random.randint(1, 9) + content[place:]


def replace_all(content: bytes, random: Random) -> bytes:
    """Have something else altogether."""
    others = (
        *(
            b"",
            b"\n",
            b"\x00" * 100,
            b"[" * 100_000,
            b"{" * 5000,
            b"- " * 5000,
            b"null",
            b"3",
            b'"x"',
            b"[]",
            b"{}",
        ),
        *(
            content.decode("latin-1").encode("utf-16"),
            b"\xef\xbb\xbf" + content,
            content.replace(b"\n", b"\r\n"),
        ),
        *(gzip.compress(content), b"a: " * 5000, b"'", b"--- 1\n--- 2\n", content + b"\n---\n" + content),
    )
    return random.choice(others)


def digit(content: bytes, random: Random) -> bytes:
    """Have another digit or sign where a digit is."""
    places = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return flip(content, random)
    place = random.choice(places)
    other = random.choice([*b"0123456789-.e_", *b" ,:x"])
    return content[:place] + bytes([other]) + content[place + 1 :]


def drop_line(content: bytes, random: Random) -> bytes:
    """Lose a line."""
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    return b"".join(lines)


def double_line(content: bytes, random: Random) -> bytes:
    """Have a line twice, here or elsewhere."""
    lines = content.splitlines(keepends=True) or [b""]
    lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return b"".join(lines)


def swap_lines(content: bytes, random: Random) -> bytes:
    """Have two lines in each other's place."""
    lines = content.splitlines(keepends=True) or [b""]
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def shift_line(content: bytes, random: Random) -> bytes:
    """Have a line with more or less white space before it."""
    lines = content.splitlines(keepends=True) or [b""]
    place = random.randrange(len(lines))
    lines[place] = (
        random.choice([b" ", b"\t", b"  - "]) + lines[place]
        if random.random() < 0.6
        else lines[place].lstrip(b" ")
    )
    return b"".join(lines)


def tagged(content: bytes, random: Random) -> bytes:
    """Have a value with a tag, an anchor or another trick of YAML where a value stands."""
    text = content.decode()
    places = [
        place
        for place, letter in enumerate(text)
        if letter in ":-[,{" and text[place + 1 : place + 2] in " \n"
    ]
    if not places:
        return random.choice(_TAGS).encode()
    place = random.choice(places) + 1
    ends = [text.find(end, place) for end in (",", "\n", "]", "}")]
    end = min((end for end in ends if end > 0), default=len(text))
    return f"{text[:place]} {random.choice(_TAGS)}{text[end:]}".encode(errors="replace")


def bomb(content: bytes, random: Random) -> bytes:
    """Have aliases that mean a billion values, as a value of the mapping."""
    lines = [f"a0: &a0 [{random.choice(['x', '1', '1.5'])}]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    return _with_last(content, lines, "*a11", random)


def merge_bomb(content: bytes, random: Random) -> bytes:
    """Have merged mappings that mean a billion keys."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 10)}]}}" for k in range(1, 12)]
    return _with_last(content, lines, "*a11", random)


def _with_last(content: bytes, lines: list[str], last: str, random: Random) -> bytes:
    """The lines before the content, and their last value at a place in it."""
    text = content.decode()
    places = [place for place, letter in enumerate(text) if letter == "\n"] or [0]
    place = random.choice(places)
    line = text.rfind("\n", 0, place) + 1
    head = text[line:place].partition(":")[0]
    ways = (
        "\n".join([*lines, text]),
        "\n".join([f"{head.strip() or 'x'}:", *(f"  {each}" for each in lines)]),
        f"- {{{', '.join(lines)}, z: {last}}}\n",
        "\n".join([*lines, f"{text[:line]}{head}: {last}{text[place:]}"]),
    )
    return random.choice(ways).encode()


def values(
    content: bytes, random: Random, write: Callable[[Any], bytes], read: Callable[[bytes], Any]
) -> bytes:
    """Change values, keys and their places in a mapping or a list."""
    tree = copy.deepcopy(read(content))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree))
        if not places:
            return write(random.choice(VALUES))
        holder, key = random.choice(places)
        _change(holder, key, random, places)
    return write(tree)


def _change(holder: Any, key: Any, random: Random, places: list[tuple[Any, Any]]) -> None:
    what = random.randrange(10)
    if what < 5:
        holder[key] = copy.deepcopy(random.choice(VALUES))
    elif what == 5:
        del holder[key]
    elif what == 6 and isinstance(holder, dict):
        holder[random.choice(["x", "", "id", f"{key}s", f"{key}"[:-1], "../x", "a\nb", 3, None])] = (
            holder.pop(key)
        )
    elif what == 7:
        other, place = random.choice(places)
        holder[key] = copy.deepcopy(other[place])
    elif what == 8:
        holder[key] = [holder[key]]
    elif isinstance(holder[key], bool) or not isinstance(holder[key], (int, float)):
        holder[key] = str(holder[key])
    else:
        number = holder[key]
        holder[key] = random.choice(
            [-number, number * 2, number + 1, number * 0.5 if abs(number) < 1e9 else 0, f"{number}"]
        )


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key."""
    pairs = (
        list(tree.items())
        if isinstance(tree, dict)
        else list(enumerate(tree))
        if isinstance(tree, list)
        else []
    )
    for key, value in pairs:
        yield tree, key
        yield from _places(value)


def yaml_values(content: bytes, random: Random) -> bytes:
    """Change values in YAML."""
    return values(
        content,
        random,
        lambda tree: yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode(),
        yaml.safe_load,
    )


def json_values(content: bytes, random: Random) -> bytes:
    """Change values in JSON; NaN and lone surrogates are written too."""
    return values(content, random, lambda tree: json.dumps(tree, skipkeys=True).encode(), json.loads)


def archive(members: dict[str, bytes], random: Random) -> tuple[str, bytes]:
    """Return a tar archive of some files, one of which is not what it should be."""
    buffer, name = io.BytesIO(), random.choice(list(members))
    what = random.choice(
        ["link", "hard link", "folder", "device", "missing", "climb", "absolute", "long", "twice"]
    )
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for each, content in members.items():
            info = tarfile.TarInfo(each)
            info.size = len(content)
            if each == name and what != "twice":
                if what == "missing":
                    continue
                content = _odd(info, what, content)
            tar.addfile(info, io.BytesIO(content))
            if each == name and what == "twice":
                tar.addfile(info, io.BytesIO(bytes(len(content))))
    return f"archive: {what}", buffer.getvalue()


def _odd(info: tarfile.TarInfo, what: str, content: bytes) -> bytes:
    kinds = {
        "link": tarfile.SYMTYPE,
        "hard link": tarfile.LNKTYPE,
        "folder": tarfile.DIRTYPE,
        "device": tarfile.CHRTYPE,
    }
    if what in kinds:
        info.type, info.linkname, info.size = kinds[what], "/etc/passwd", 0
        return b""
    if what == "long":
        info.size = 50_000_000  # of zeros, which take no room in the archive
        return bytes(info.size)
    info.name = {"climb": "../../", "absolute": "/var/"}[what] + info.name
    return content


BYTES = (flip, cut, lose, repeat, insert, replace_all)
LINES = [digit, drop_line, double_line, swap_lines, shift_line]
STRUCTURES = {"yaml": yaml_values, "json": json_values}
