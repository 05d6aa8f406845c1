"""Damaged inputs: 200 at random, one for each defect that longer attacks have found, and weak readers.

``python -m torture.damage`` draws as many as one likes.
"""

import ast
import dataclasses
import io
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import yaml

from fracrepro.arguments import Interval, distinct, integer
from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.stats.plans import ExperimentPlan
from fracrepro.workflow import notebooks, parameters, sweepfile, yamlfile
from fracrepro.workflow.project import read_yaml
from torture import archives, checkpoints, damage, records, spoil, written
from torture import project as one_page

SEED = 20261128


def test_two_hundred_damaged_inputs_are_refused_or_read_right():
    found = damage.run(200, SEED, processes=2)
    assert found["failures"] == []
    outcomes = found["outcomes"]
    assert outcomes["clear error"] + outcomes["right result"] == 200
    assert outcomes["clear error"] >= 100  # else the damage is too weak to say anything
    assert outcomes["right result"] >= 20


def named(name):
    return next(subject for subject in damage.subjects() if subject.name == name)


def attack(name, cases=60, **changes):
    """The outcomes of a subject with a weak reader."""
    weak = dataclasses.replace(named(name), **changes)
    return damage.run(cases, SEED, chosen=[weak])["outcomes"]


def test_a_reader_that_takes_the_last_of_two_keys_is_caught(monkeypatch):
    monkeypatch.setattr(yamlfile, "content", lambda text, loader=None: yaml.safe_load(text))
    found = attack("profiles", 3, spoil=lambda content, *_: ("twice", content + b"book: {}\n"))
    assert found["wrong"] == 3


def test_a_reader_that_trusts_a_table_is_caught():
    import pandas as pd

    def trusting(folder):
        return records._rows(pd.read_csv(folder / "digits.csv").to_dict("list"))

    found = attack("table of a record", read=trusting)
    assert found["wrong"] > 5  # other numbers
    assert found["traceback"] > 5


def test_a_reader_that_carries_out_tags_is_caught():
    tag = f"!!python/object/apply:os.system ['touch {spoil.CANARY}']"

    def unsafe(folder):
        return yaml.load((folder / "book" / "glossary.yml").read_text(), yaml.UnsafeLoader)

    def truth(content):
        return yaml.safe_load(content.decode().replace(tag, "0"))  # what the shell returns

    weak = dataclasses.replace(
        named("glossary"), read=unsafe, truth=truth, spoil=lambda *_: ("tag", f"a: {tag}".encode())
    )
    found = damage.run(2, SEED, chosen=[weak])
    assert found["outcomes"]["wrong"] == 2
    assert all(f"{spoil.CANARY} was written" in failure["words"] for failure in found["failures"])


def test_hangs_tracebacks_and_silent_refusals_are_caught(monkeypatch):
    def weak(how):
        def read(folder):
            content = (folder / "_toc.yml").read_bytes()
            if content != written.TOC.encode():
                how()
            return written._toc_truth(content)

        return read

    def hang():
        while True:
            pass

    def raises(error):
        def refuse():
            raise error

        return refuse

    monkeypatch.setattr(damage, "LIMIT", 0.2)
    for how, outcome in (
        (hang, "hang"),
        (raises(ValueError("_toc.yml")), "traceback"),
        (raises(MemoryError()), "traceback"),
        (raises(OSError(5, "of no file")), "traceback"),
        (raises(ArgumentError("something is wrong")), "wrong"),
        (raises(ArgumentError("_toc.yml: is wrong")), "clear error"),
    ):
        found = attack("table of contents", 3, read=weak(how))
        assert found[outcome] >= 2, outcome  # damage may change nothing


# What longer attacks have found, one for each defect.


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12))])
MERGED = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 10)}]}}" for k in range(1, 12))]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"its aliases mean more than a file holds \(line 7\)"),
        (MERGED, r"its aliases mean more than a file holds \(line \d\)"),
        ("a: &a {b: 1}\nc: {<<: *a}", r"mappings are not merged here; << is no key \(line 2\)"),
        ("&a [*a]", r"a value contains itself \(line 1\)"),
        ("a: &a {b: *a}", r"a value contains itself \(line 1\)"),
        ("a: !!bool maybe", r"no value of bool \(line 1\)"),
        ("a: !!int ''", r"no value of int \(line 1\)"),
        ("a: !!float x", r"no value of float \(line 1\)"),
        ("a: !!timestamp x", r"no value of timestamp \(line 1\)"),
        ("a: 2001-99-99", r"no value of timestamp \(line 1\)"),
        ("a: " + "9" * 5000, r"no value of int \(line 1\)"),
        ("a: 0x" + "f" * 9000, r"no value of int \(line 1\)"),
        ("[" * 100_000, "nested too deep"),
        ("a: \x07", "special characters are not allowed"),
        ("x" * 1_000_001, r"has 1,000,001 characters: need at most 1,000,000"),
    ],
    ids=lambda text: re.sub(r"\W+", " ", text)[:30],
)
def test_yaml_that_means_too_much_or_nothing_is_refused_in_its_line(tmp_path, text, message):
    (tmp_path / "x.yml").write_text(text)
    with pytest.raises(ArgumentError, match=rf"x\.yml: .*{message}"):
        read_yaml(tmp_path / "x.yml")


def test_aliases_of_people_are_read():
    text = "a: &a [1, 2]\nb: [*a, *a]\nc: &c {d: 1}\ne: *c"
    assert yamlfile.content(text) == {"a": [1, 2], "b": [[1, 2]] * 2, "c": {"d": 1}, "e": {"d": 1}}


def test_what_a_message_quotes_is_one_line_that_prints():
    said = str(FracreproError("id = 'a\nb\x1b[31m\ud800\u202e', 10\u202f000: need \u03c3"))
    assert said == "id = 'a\\nb\\x1b[31m\\ud800\\u202e', 10\u202f000: need \u03c3"
    assert len(str(ArgumentError(f"x.yml: {'y' * 10_000}: need text"))) < 1600
    assert str(ArgumentError(f"x.yml: {'y' * 10_000}: need text")).endswith("yyy: need text")
    assert pickle.loads(pickle.dumps(ArgumentError("a\nb"))).args == ("a\nb",)


@pytest.mark.parametrize(
    ("value", "interval", "inside"),
    [
        (10**400, "[1, inf)", True),
        (10**400, "[1, 4096]", False),
        (-(10**400), "(-inf, 0]", True),
        (2**53 + 1, f"[0, {2**53}]", False),  # a float would be rounded down to the bound
    ],
)
def test_whole_numbers_of_any_size_are_compared_exactly(value, interval, inside):
    assert (value in Interval.parse(interval)) is inside


def test_a_bound_that_is_no_number_is_refused():
    with pytest.raises(ArgumentError, match="need an interval"):
        Interval.parse("(0, .]")


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_an_integer_that_has_no_place_is_refused_and_not_made_negative(value):
    with pytest.raises(ArgumentError, match=f"epochs = {value}: need an integer"):
        integer("epochs", value, "[1, inf)")
    assert integer("epochs", 2**63 - 1, "[1, inf)") == 2**63 - 1


def test_distinct_takes_a_hundred_thousand_values():
    distinct("seeds", list(range(100_000)))
    with pytest.raises(ArgumentError, match="seeds = 7 twice"):
        distinct("seeds", [*range(100_000), 7])
    with pytest.raises(ArgumentError, match=r"orders = \[1\] twice"):
        distinct("orders", [[1], [1]])


@pytest.mark.parametrize("seeds", ["0-2000000000", "9-3", "0-" + "9" * 5000])
def test_a_range_of_seeds_that_fills_the_memory_is_refused(seeds):
    plan = yaml.safe_load(written.PLAN)
    plan["seeds"]["main"] = seeds
    with pytest.raises(ArgumentError, match=r"seeds: main = .*need from 1 to 1,000,000 seeds"):
        ExperimentPlan.from_dict(plan)


def test_as_many_runs_as_fill_the_memory_are_refused():
    from fracrepro.nn.experiments import DIGITS

    with pytest.raises(ArgumentError, match="runs = 10000000000: need an integer"):
        DIGITS.settle(runs=10**10)


def test_names_of_schemes_are_texts(project):
    (project.root / "points.yml").write_text(
        one_page.TRAINING.replace("[kaiming, fractional]", "[[kaiming]]")
    )
    with pytest.raises(ArgumentError, match=r"points\.yml: settings: schemes = .*: need a list of names"):
        sweepfile.load(project.root / "points.yml", project)


S = parameters.declared(one_page.NOTEBOOK, "01_good")


@pytest.mark.parametrize(
    ("name", "text"),
    [("width", "2001-99-99"), ("width", "{[]: 1}"), ("s", "[" * 5000), ("s", "9" * 400), ("gpu", "!!bool x"),
     ("orders", "&a [*a]"), ("width", "9" * 5000)],
    ids=lambda text: re.sub(r"\W+", " ", text)[:20],
)  # fmt: skip
def test_a_text_that_is_no_value_is_refused_by_its_parameter(name, text):
    with pytest.raises(ArgumentError, match=f"^{name} = "):
        parameters.resolve(S, {}, {name: text})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s: float = 1.0  # order, in (0, .]", "line 1: text = .*need an interval"),
        ("s: float = 5.0  # order, in (0, 2]", r"line 1: s = 5.0: need a number in \(0, 2\]"),
        ("s: float = {[]: 1}  # order, in (0, 2]", "line 1: the default .* is no literal"),
        ("s: int = 0x" + "f" * 9000 + "  # order, in (0, 2]", "s = an int of thousands of digits: need"),
        ("s: float = 1\0  # order, in (0, 2]", "parameters cell.*: not valid Python"),
        ("s: float = " + "-" * 50_000 + "1  # order, in (0, 2]", "parameters cell.*: "),
        ("s: float = 1.0  # order \ud800, in (0, 2]", "cell 2: source: need text"),
    ],
    ids=["bound", "range", "literal", "digits", "null", "deep", "half a letter"],
)
def test_a_parameters_cell_that_is_damaged_is_named(project, line, message):
    damaged = json.loads(json.dumps(one_page.NOTEBOOK))
    damaged["cells"][1]["source"] = line
    (project.notebooks / "01_good.ipynb").write_text(json.dumps(damaged))
    with pytest.raises(ArgumentError, match=rf"notebook 01_good, .*{message}"):
        notebooks.plan(project, "01_good", "quick")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", "a\nb", "..", "-x"])
def test_the_records_that_a_notebook_reads_lie_in_their_folder(project, name):
    damaged = one_page.NOTEBOOK | {"metadata": {"fracrepro": {"recorded": [name]}}}
    (project.notebooks / "01_good.ipynb").write_text(json.dumps(damaged))
    with pytest.raises(ArgumentError, match="notebook 01_good: metadata: fracrepro: recorded"):
        notebooks.plan(project, "01_good", "quick")


def test_a_notebook_that_is_no_text_is_named_by_its_sweep(project):
    (project.notebooks / "01_good.ipynb").write_bytes(b"\xff\xfe")
    (project.root / "points.yml").write_text(one_page.SWEEP)
    with pytest.raises(ArgumentError, match=r"01_good\.ipynb: not a text file"):
        sweepfile.load(project.root / "points.yml", project)


def test_a_profile_that_is_missing_is_said_with_the_file(project):
    with pytest.raises(ArgumentError, match=r"profiles\.yml: profile = 'paper'"):
        notebooks.plan(project, "01_good", "paper")


@pytest.mark.parametrize(
    ("subject", "content", "message"),
    [
        ("start of a training", {"started": "2026-01-01T00:00:00+00:00"}, r"start\.json: is damaged; delete"),
        ("start of a training", {"started": float("nan"), "plan": None}, r"start\.json: is damaged: need"),
        (
            "start of a training",
            {"started": "2026-01-01", "plan": 3},
            r"start\.json: is damaged: need a plan",
        ),
        ("plan in a record", {"plan": {"sha256": 3}}, r"digits\.json: is damaged: need a plan"),
        ("plan in a record", {"plan": 3}, r"digits\.json: is damaged: need a plan"),
        (
            "plan in a record",
            {"started": "yesterday"},
            r"digits\.json: is damaged: need a record that says when",
        ),
        ("record, sealed anew", {"plan": {"fields": []}}, r"digits\.json: is damaged: need a plan"),
        ("page at full scale, sealed anew", {"seconds": "12"}, r"01_good\.json: no record"),
        ("page at full scale, sealed anew", {"parameters": "12"}, r"01_good\.json: no record"),
        ("page at full scale, sealed anew", {"values": [1]}, r"01_good\.json: no record"),
    ],
)
def test_facts_of_another_form_are_refused_with_their_file(tmp_path, subject, content, message):
    subject = named(subject)
    path = subject.make(tmp_path)
    before = json.loads(path.read_text()) if subject.name != "start of a training" else {}
    subject.put(path, json.dumps({**before, **content}).encode())
    with pytest.raises(ArgumentError, match=message):
        subject.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("test_loss", "lost_test"), "test_loss: is missing"),
        (lambda text: re.sub(r",0\.(\d+)", r",0.\1x", text, count=1), "need a column of numbers"),
        (lambda text: "", "no table in CSV"),
        (lambda text: text.replace("test_loss", "s"), "need rows as long as the header, whose names differ"),
        (lambda text: text.replace("\ndigits,", "\ndigits,digits,"), "need rows as long as the header"),
        (lambda text: text[: text.rindex(",")] + "\n", "need rows as long as the header"),
        (lambda text: text.replace("experiment", "-experiment"), "experiment: is missing"),
        (lambda text: text + "1,2,3,4,5,6,7,8,9,10,11\n", "no table in CSV"),
    ],
)
def test_a_table_with_words_among_its_numbers_is_refused(tmp_path, change, message):
    subject = named("table, with its digest")
    path = subject.make(tmp_path)
    subject.put(path, change(path.read_text()).encode())
    with pytest.raises(ArgumentError, match=rf"digits\.csv: .*{message}"):
        subject.read(tmp_path)


@pytest.mark.parametrize("name", ["_toc.yml"])
def test_a_table_of_contents_names_files_by_text(tmp_path, name):
    path = one_page.project(tmp_path).parents[1] / name
    path.write_text("root: [0]\n")
    with pytest.raises(ArgumentError, match=r"_toc\.yml: file = \[0\]: need text"):
        written._toc(tmp_path)


# What may not leave its folder, run, or fill the memory.


def test_a_pickle_in_a_checkpoint_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subject = named("checkpoint, with its checksum")
    path = subject.make(tmp_path)
    payload = checkpoints._unsealed(path.read_bytes())
    for bad in (
        pickle.dumps(checkpoints._Shell()),
        checkpoints._zipped(
            payload, "data.pkl", pickle.dumps({"experiment": checkpoints._Shell()}, protocol=2)
        ),
    ):
        subject.put(path, bad)
        with pytest.raises(FracreproError, match=r"seeds-0-1\.ckpt is damaged"):
            subject.read(tmp_path)
    assert not list(tmp_path.rglob(spoil.CANARY))
    pickle.loads(pickle.dumps(checkpoints._Shell()))  # the control: what the checkpoint would do
    assert (tmp_path / spoil.CANARY).exists()
    assert zipfile.is_zipfile(io.BytesIO(payload))


def test_a_tensor_without_numbers_is_refused(tmp_path):
    import torch

    subject = named("checkpoint, with its checksum")
    path = subject.make(tmp_path)
    good = torch.load(io.BytesIO(checkpoints._unsealed(path.read_bytes())), weights_only=True)
    first, figures = good["tensors"][0], good["figures"]
    for changed, words in (
        ({"tensors": [first.to("meta"), *good["tensors"][1:]]}, "parameters"),
        ({"tensors": [first.to_sparse(), *good["tensors"][1:]]}, "parameters"),
        ({"figures": figures.to("meta")}, "figures"),
        ({"figures": figures.to_sparse()}, "figures"),
    ):
        buffer = io.BytesIO()
        torch.save(good | changed, buffer)
        subject.put(path, buffer.getvalue())
        with pytest.raises(FracreproError, match=rf"seeds-0-1\.ckpt holds other {words}"):
            subject.read(tmp_path)


def test_few_bytes_of_gzip_that_hold_gigabytes_are_refused(tmp_path):
    subject = named("MNIST, with its checksum")
    path = subject.make(tmp_path)
    path.write_bytes(archives._bomb())
    with damage.limits(), pytest.raises(FracreproError, match=f"{path.name} is altered: .*found more"):
        archives._mnist_read(tmp_path)


@pytest.mark.parametrize(
    "what", ["link", "hard link", "folder", "device", "missing", "climb", "absolute", "long"]
)
def test_members_of_an_archive_lead_nowhere(tmp_path, what):
    subject = named("CIFAR-10, archive with its checksum")
    path = subject.make(tmp_path)

    class Chosen(spoil.Random):
        def choice(self, options):
            return what if what in options else options[0]

    path.write_bytes(spoil.archive(archives._members(), Chosen(1))[1])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FracreproError, match=r"cifar-10-binary\.tar\.gz"):
        subject.read(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc/x", "a/test_batch.bin", "", "x.bin", "test_batch.bin\n"]
)
def test_a_worker_takes_only_files_of_the_data_set(tmp_path, monkeypatch, name):
    from fracrepro.nn import data
    from fracrepro.nn.data import transfer

    monkeypatch.setattr(data, "_cache", lambda: tmp_path)
    with pytest.raises(ArgumentError, match=r"file = .*need one of 'data_batch_1\.bin'"):
        transfer.receive("cifar10", name, b"x")
    assert not os.listdir(tmp_path)


PACKAGE = Path(parameters.__file__).parents[1]
# The only readers of pickles: what processes of one command, or a scheduler and workers, tell each other.
PICKLES = {"workflow/pool.py", "workflow/worker.py"}


def dangers(source, place):
    """The calls that could run what a file or a parameter says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "shell":
            yield f"{place}:{node.value.lineno}: shell"
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
        bad = name in (
            "eval",
            "exec",
            "os.system",
            "os.popen",
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
        )
        bad |= name.endswith((".extractall", "unpack_archive", "create_subprocess_shell"))
        bad |= name.startswith("os.spawn") or (
            name in ("pickle.load", "pickle.loads") and place not in PICKLES
        )
        bad |= name == "torch.load" and given.get("weights_only") != "True"
        bad |= name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False"
        bad |= name.endswith("read_pickle") or name.endswith("tempfile.mktemp")
        if bad:
            yield f"{place}:{node.lineno}: {name}"


def test_the_package_runs_nothing_that_a_file_or_a_parameter_says():
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert len(sources) > 200
    assert [found for place, source in sources.items() for found in dangers(source, place)] == []


@pytest.mark.parametrize(
    "source",
    [
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "yaml.load(x, Loader)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "eval(x)",
        "tar.extractall(x)",
        "pickle.loads(x)",
        "np.load(x, allow_pickle=True)",
    ],
)
def test_the_search_for_what_is_run_finds_it(source):
    assert len(list(dangers(source, "x.py"))) == 1


def test_a_value_of_a_shell_is_a_value(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = json.loads(json.dumps(one_page.NOTEBOOK))
    page["cells"][1]["source"] = 'name: str = "x"  # a name, one of x | $(touch owned) | ; touch owned'
    (project.notebooks / "01_good.ipynb").write_text(json.dumps(page))
    project.profiles.write_text("quick: {}\n")
    for value in ("$(touch owned)", "; touch owned"):
        item = notebooks.plan(project, "01_good", "quick", {"name": value})
        assert item.parameters == {"name": value}
    assert not list(tmp_path.rglob("owned"))
