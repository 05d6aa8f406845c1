"""The random attack of `torture` itself: a chain, its counts, and a control of its judge."""

import hashlib
import json
import os
import signal
import sys

import pytest

import torture.__main__
from fracrepro import files
from fracrepro.workflow import provenance, seals
from torture import kills

from .faulted import TRAINING


def test_kill_points_of_a_training(tmp_path, monkeypatch):
    """A chain of the long attack; more kill points of the suite are those of checkpoints and of the site."""
    moments = ("result", "writing")
    strikes = [kills.Strike("driver", int(signal.SIGKILL), moment, 0.3) for moment in moments]
    monkeypatch.setattr(kills, "draw", lambda *_: (TRAINING, strikes))
    kills.run(0, 0, tmp_path, kills.References(tmp_path))
    assert strikes[0].hit
    assert [(strike.column, strike.notes) for strike in strikes] == [("right", [])] * 2


def test_the_program_keeps_its_counts(tmp_path, monkeypatch, capsys):
    """Chains of an earlier call are kept, counted and recorded; nothing is struck again."""
    strike = {"victim": "driver", "number": 9, "moment": "clock", "column": "right", "notes": []}
    chain = {"index": 0, "target": "build", "variant": "book", "seconds": 1.0}
    bad = strike | {"column": "lost", "notes": ["lost: a"]}
    monkeypatch.setattr(kills, "run", lambda *_: pytest.fail("a chain was struck"))
    head = {"seed": 7, "package": provenance.package_digest(), "attack": torture.__main__._own_digest()}
    for strikes, ends in (([strike, strike], 0), ([strike, bad], 1)):
        lines = [json.dumps(line) for line in (head, chain | {"strikes": strikes})]
        (tmp_path / "kills.jsonl").write_text("\n".join(lines) + "\n")
        options = ["--kills", "2", "--damaged", "0", "--seed", "7", "--folder", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["torture", *options, "--record", str(tmp_path / "record.json")])
        assert torture.__main__.main() == ends
        record = files.read_json(tmp_path / "record.json")
        assert seals.is_intact(record)
        assert record["kill_points"] == 2
        assert record["counts"]["kill points: build"]["lost"] == ends
        assert record["strikes"] == {"driver, SIGKILL": 2}
        assert "kill points: build" in capsys.readouterr().out


def point_of(record):
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return json.dumps({"sha256": digest, "record": record})


def test_only_the_file_by_which_python_tries_a_folder_may_stay(tmp_path):
    for name, content, spared in (
        ("ufozbpon", b"", True),
        ("abc_0123", b"blat", True),
        ("ufozbpon2", b"", False),
        ("ufozbpo3", b"more", False),
        ("fracrepro-page-abcd1234", b"", False),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert kills._is_probe(path) is spared, name


def test_the_judge_sees_what_is_bad(tmp_path):
    """The control: files that are broken, lost, computed again or left are counted as that."""
    out = tmp_path / "out"
    (out / ".x.points").mkdir(parents=True)
    point = out / ".x.points" / "a.json"
    point.write_text(point_of(1))

    def judged(expected, kept):
        strike = kills.Strike("driver", 9, "clock", 0.5)
        kills._judge_files(out, strike, kept, expected)
        return strike.column

    good, name = {".x.points/a.json": '{"record": 1}'}, ".x.points/a.json"
    kept = kills.results(out)
    assert list(kept) == [name]
    assert judged(good, kept) == "right"
    assert judged({name: '{"record": 2}'}, kept) == "wrong"
    assert judged(good, kept | {".x.points/b.json": kept[name]}) == "lost"
    again = out / "again"
    again.write_text(point_of(1))
    os.replace(again, point)
    assert judged(good, kept) == "twice"
    point.write_text('{"record":')
    assert judged(good, {}) == "half"
    point.write_text(point_of(1).replace('"record": 1', '"record": 2'))
    assert judged(good, {}) == "half"
