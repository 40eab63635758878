"""Numbers that a notebook quotes against the file that they come from."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "benchmarks/results/completion_arms.json"


def published_cell():
    """The text of the notebook's cell that quotes the results of the benchmark."""
    text = (ROOT / "notebooks/07_face_completion.ipynb").read_text(encoding="utf-8")
    (cell,) = (
        cell
        for cell in json.loads(text)["cells"]
        if "published" in cell["metadata"].get("tags", ())
    )
    return "".join(cell["source"])


def quoted(source):
    """Numbers as they are written, by (measure, arm, mask, seed)."""
    (statement,) = ast.parse(source).body
    return {
        (measure, arm, mask, seed): ast.get_source_segment(source, number)
        for measure, arms in _items(statement.value)
        for arm, of_masks in _items(arms)
        for mask, numbers in _items(of_masks)
        for seed, number in enumerate(numbers.elts)
    }


def _items(node):
    return [
        (key.value, value) for key, value in zip(node.keys, node.values, strict=True)
    ]


def wrong_numbers(source, differences):
    """Places where a quoted number is not that of the file, rounded as it is quoted."""
    wrong = []
    for (measure, arm, mask, seed), text in quoted(source).items():
        value = differences[arm][mask][measure]["by_seed"][seed]
        decimals = len(text.partition(".")[2])
        if f"{value:.{decimals}f}" != text:
            wrong.append((measure, arm, mask, seed, text, value))
    return wrong


@pytest.fixture(scope="module")
def differences():
    return json.loads((ROOT / SOURCE).read_text(encoding="utf-8"))["differences"]


def test_the_notebook_quotes_the_file(differences):
    source = published_cell()
    assert SOURCE in source
    assert wrong_numbers(source, differences) == []


def test_all_seeds_and_masks_are_quoted(differences):
    numbers = quoted(published_cell())
    assert all(len(text.partition(".")[2]) >= 3 for text in numbers.values())
    for measure, arms in (("psnr", ("self", "residual", "uniform")), ("ssim", "self")):
        for arm in [arms] if isinstance(arms, str) else arms:
            for mask, measures in differences[arm].items():
                found = sum(key[:3] == (measure, arm, mask) for key in numbers)
                assert found == len(measures[measure]["by_seed"]), (measure, arm, mask)


def test_a_changed_number_is_noticed(differences):
    source = published_cell()
    number = quoted(source)["psnr", "self", "lower_half", 3]
    digit = str((int(number[-1]) + 1) % 10)
    changed = source.replace(f" {number},", f" {number[:-1]}{digit},", 1)
    ((*place, _, _),) = wrong_numbers(changed, differences)
    assert place == ["psnr", "self", "lower_half", 3]
