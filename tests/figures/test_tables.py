"""Tables: the same numbers give the same page, and what is missing shows as a dash."""

import math
import re

import pandas as pd
from bs4 import BeautifulSoup

from fracrepro.figures.tables import TAILS, order_table, protocol_table, table, tails_table
from fracrepro.nn.experiments import CIFAR10, DIGITS, MNIST


def cells(styler):
    """The text of the body, row by row."""
    rows = BeautifulSoup(styler.to_html(), "html.parser").tbody.find_all("tr")
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in rows]


def test_the_same_numbers_give_the_same_bytes_and_others_another_id():
    frame = pd.DataFrame({"a": [1.5, math.nan]}, index=["x", "y"])
    assert table(frame).to_html() == table(frame.copy()).to_html()
    ids = {re.search(r'id="(\w+)"', table(each).to_html())[1] for each in (frame, 2 * frame)}
    assert len(ids) == 2
    assert cells(table(frame, "{:.2f}")) == [["x", "1.50"], ["y", "–"]]


def test_settings_stand_side_by_side():
    found = {name: [record, live] for name, record, live in cells(protocol_table(CIFAR10, MNIST))}
    assert found["convolutions, each with ReLU and pooling"] == ["6×3×5×5, 16×6×5×5", "–"]
    assert found["learning rate"] == ["0.01, divided by 10 every 30 epochs", "0.01"]
    assert found["image"] == ["3 × 32 × 32", "1 × 28 × 28"]
    assert "convolutions, each with ReLU and pooling" not in [
        row[0] for row in cells(protocol_table(MNIST, DIGITS))
    ]


def test_a_sweep_has_a_row_for_each_order():
    row = {"depth": 10, "negative_slope": 0.01, "s": 0.25, "mean": 1.234, "low": -1.0, "high": 3.0}
    row |= {"accuracy_of_reference": 88.888, "started": 7, "started_of_reference": 8}
    found = cells(order_table(pd.DataFrame([row]), "depth"))
    assert found == [["10", "0.01", "0.25", "88.89", "+1.23", "−1.00", "+3.00", "7 / 8"]]


def test_tails_begin_with_the_start_of_training():
    index = pd.MultiIndex.from_product([["end", "start"], [2, 8]], names=["stage", "batch_size"])
    means = pd.DataFrame(dict.fromkeys(("loss", "kurtosis", *TAILS, "step_evi"), 0.256), index=index)
    means["kurtosis"] = 12.6
    found = cells(tails_table(means))
    assert [row[0] for row in found if len(row) > 9] == ["start", "end"]
    assert found[0][1:4] == ["2", "0.26", "13"]


def headers(styler):
    """The rows of headers."""
    rows = BeautifulSoup(styler.to_html(), "html.parser").thead.find_all("tr")
    return [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in rows]


def test_names_of_rows_stand_in_the_row_of_the_columns():
    index = pd.MultiIndex.from_product([["test loss"], ["kaiming"]], names=["measure", "scheme"])
    assert headers(table(pd.DataFrame({"s = 1": [1.0]}, index))) == [
        ["measure", "scheme", "s\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1"]
    ]
    over = pd.MultiIndex.from_product([["over t", "over log t"], ["t", "u"]])
    two = table(pd.DataFrame([[1, 2, 3, 4]], pd.Index(["k"], name="law"), over))
    assert headers(two) == [["", "over t", "over log t"], ["law", "t", "u", "t", "u"]]
    unnamed = table(pd.DataFrame({"x": [1]}, ["row"]))
    assert headers(unnamed) == [["", "x"]]


def test_columns_of_numbers_keep_their_name_and_columns_of_words_lose_it():
    frame = pd.DataFrame([[0.1, 0.2]], ["epochs"], pd.Index([1, 2], name="batch size"))
    assert headers(table(frame)) == [["batch size", "1", "2"]]
    words = frame.set_axis(pd.Index(["epoch 1", "epoch 2"], name="epoch"), axis="columns")
    assert headers(table(words)) == [["", "epoch 1", "epoch 2"]]


def test_words_stand_on_the_left_under_their_header_and_numbers_on_the_right():
    frame = pd.DataFrame({"base": ["gaussian", "–"], "low": [-1.0, math.nan], "started": ["7 / 8", "–"]})
    soup = BeautifulSoup(table(frame, index=False).to_html(), "html.parser")
    rows = [row(["th", "td"]) for row in soup("tr")]
    assert [["text" in cell["class"] for cell in row] for row in rows] == [[True, False, False]] * 3


def test_every_header_says_what_it_heads():
    index = pd.MultiIndex.from_product([["a"], ["x", "y"]], names=["one", "two"])
    over = pd.MultiIndex.from_product([["mean"], ["low", "high"]])
    soup = BeautifulSoup(table(pd.DataFrame(1.0, index, over)).to_html(), "html.parser")
    scopes = {cell.get_text(): cell.get("scope") for cell in soup("th") if "blank" not in cell["class"]}
    assert scopes == {
        **{"one": "col", "two": "col", "mean": "colgroup", "low": "col", "high": "col"},
        **{"a": "rowgroup", "x": "row", "y": "row"},
    }


def test_raised_digits_can_be_enlarged_and_the_text_stays():
    soup = BeautifulSoup(table(pd.DataFrame({"p": [8e-251, 0.5]})).to_html(), "html.parser")
    assert [cell.get_text() for cell in soup("td", class_="data")] == ["8×10⁻²⁵¹", "0.5"]
    assert [power.get_text() for power in soup("span", class_="power")] == ["⁻²⁵¹"]
