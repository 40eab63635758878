"""Numbers that a notebook quotes against the file that they come from."""

import ast
import itertools
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARMS = "benchmarks/results/completion_arms.json"
PAIR = "benchmarks/results/completion_pair.json"


def published_cell(file):
    """The text of the notebook's cell that quotes the results in a file."""
    text = (ROOT / "notebooks/07_face_completion.ipynb").read_text(encoding="utf-8")
    (source,) = (
        "".join(cell["source"])
        for cell in json.loads(text)["cells"]
        if "published" in cell["metadata"].get("tags", ())
        and file in "".join(cell["source"])
    )
    return source


def quoted(source):
    """Numbers of the first statement as they are written, by their keys and places."""
    return dict(_numbers(ast.parse(source).body[0].value, source))


def _numbers(node, source, path=()):
    if isinstance(node, ast.Dict):
        names = [key.value for key in node.keys]
        parts = zip(names, node.values, strict=True)
    elif isinstance(node, ast.List):
        parts = enumerate(node.elts)
    else:
        yield path, ast.get_source_segment(source, node)
        return
    for name, part in parts:
        yield from _numbers(part, source, (*path, name))


def value_of_arms(results, measure, arm, mask, seed):
    return results["differences"][arm][mask][measure]["by_seed"][seed]


def value_of_pair(results, name):
    return results["difference"]["psnr"][name]


VALUES = {ARMS: value_of_arms, PAIR: value_of_pair}


def results_in(file):
    return json.loads((ROOT / file).read_text(encoding="utf-8"))


def wrong_numbers(source, file):
    """Places where a quoted number is not that of the file, rounded as it is quoted."""
    results, wrong = results_in(file), []
    for path, text in quoted(source).items():
        value = VALUES[file](results, *path)
        decimals = len(text.partition(".")[2])
        if f"{value:.{decimals}f}" != text:
            wrong.append((path, text, value))
    return wrong


@pytest.mark.parametrize("file", VALUES)
def test_the_notebook_quotes_the_file(file):
    source = published_cell(file)
    assert wrong_numbers(source, file) == []
    decimals = [len(text.partition(".")[2]) for text in quoted(source).values()]
    assert min(decimals) >= 3


def test_all_seeds_and_masks_are_quoted():
    numbers = quoted(published_cell(ARMS))
    differences = results_in(ARMS)["differences"]
    for measure, arm in itertools.product(("psnr", "ssim"), differences):
        for mask, measures in differences[arm].items():
            found = sum(key[:3] == (measure, arm, mask) for key in numbers)
            assert found == len(measures[measure]["by_seed"]), (measure, arm, mask)


def test_the_whole_interval_of_the_pair_is_quoted():
    assert set(quoted(published_cell(PAIR))) == {("value",), ("low",), ("high",)}


@pytest.mark.parametrize(
    ("file", "path"),
    [
        (ARMS, ("psnr", "self", "lower_half", 3)),
        *((PAIR, (name,)) for name in ("value", "low", "high")),
    ],
)
def test_a_changed_number_is_noticed(file, path):
    source = published_cell(file)
    number = quoted(source)[path]
    digit = str((int(number[-1]) + 1) % 10)
    changed = source.replace(f" {number}", f" {number[:-1]}{digit}", 1)
    ((place, _, _),) = wrong_numbers(changed, file)
    assert place == path
