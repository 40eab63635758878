"""What a reader of the course relies on, read from the notebooks' files."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path, kind=None, tag=None):
    """Pairs of a cell and its text, of one kind or with one tag if given."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        (cell, "".join(cell["source"]))
        for cell in cells
        if kind in (None, cell["cell_type"])
        and (tag is None or tag in cell["metadata"].get("tags", []))
    ]


FIND = cells_of(NOTEBOOKS[0], "code")[0][1]


def test_the_order_of_the_course():
    assert [path.stem for path in NOTEBOOKS] == [
        "00_start_here",
        "01_attention_from_scratch",
        "02_attention_module",
        "03_self_attention_2d",
        "04_vae_with_attention",
        "05_self_attention_gan",
        "06_image_transformer",
        "07_face_completion",
        "08_flow_matching",
    ]


@each
def test_it_is_committed_as_it_ran(path):
    """Every cell ran in order, nothing failed, pictures are there, CI has its mock."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell, text in cells_of(path, "code") if text.strip()]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    # Neither a folder of the machine that it ran on nor a terminal's colors.
    texts = [
        (o.get("text", ""), o.get("data", {}).get("text/plain", "")) for o in outputs
    ]
    printed = "\n".join("".join([*text, *plain]) for text, plain in texts)
    assert not re.search(r"(?<![\w./:])/[a-z]+/\S|\x1b\[", printed)
    ((parameters, _),) = cells_of(path, "code", "parameters")
    assert parameters["metadata"]["nbmake"]["mock"]["write_results"] is False
    assert notebook["metadata"]["execution"]["timeout"] == 600
    assert path.stat().st_size < 1_000_000


@each
def test_it_begins_like_every_other(path):
    """A promise, what it needs and takes; then it finds tfattn, wherever it lies."""
    (_, title), (_, about), *_ = cells_of(path, "markdown")
    assert title.startswith(f"# {path.stem[:2]} · ")
    for words in ("will do", "will learn", "need", "Runtime"):
        assert f"**{words}" in about or f" {words}.**" in about, words
    code = cells_of(path, "code")
    assert code[0][1] == FIND
    assert "parameters" in code[1][0]["metadata"]["tags"]
    assert f'course.start("{path.stem[:2]}"' in code[2][1]
    assert "run.finish(" in code[-1][1]


@each
def test_its_runtime_is_that_of_its_results(path):
    page = cells_of(path, "markdown")[1][1]
    results = ROOT / "notebooks" / "results" / f"{path.stem[:2]}.json"
    seconds = json.loads(results.read_text(encoding="utf-8"))["cpu_seconds"]
    (written,) = re.findall(r"<!-- runtime -->\n(.*?)\n<!-- /runtime -->", page, re.S)
    minutes = round(seconds / 60)
    words = "less than a minute" if minutes < 1 else f"about {minutes} minute"
    assert words in written and "GPU" in written


def rebound(code):
    """Names that a cell gives a value outside of functions, classes, comprehensions."""
    inner = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.comprehension)
    names, left = set(), [ast.parse(re.sub(r"^%.*", "", code, flags=re.M))]
    while left:
        node = left.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        left += [n for n in ast.iter_child_nodes(node) if not isinstance(n, inner)]
    return names


@each
def test_its_parameters_keep_their_values(path):
    """But `write_results`, which no other data than those of the text may set."""
    ((parameters, text),) = cells_of(path, "code", "parameters")
    names = rebound(text) - {"write_results"}
    assert names
    for cell, code in cells_of(path, "code"):
        if cell != parameters:
            assert not names & rebound(code), code


def test_a_parameter_that_is_lost_is_noticed():
    assert rebound("%matplotlib inline\nheight, width = image.shape") == {
        *("height", "width")
    }
    assert rebound("for seed in (1, 2):\n    x += seed") == {"seed", "x"}
    inner = "def f(width):\n    epochs = width\n    return epochs"
    assert rebound(inner) == rebound("[seed for seed in f(1)]") == set()


@each
def test_it_needs_no_file_beside_it(path):
    """But the package, in the cell that finds it, and its own results."""
    for _, text in cells_of(path, "code")[1:]:
        code = re.sub("#.*", "", text)
        assert "../" not in code and "results/" not in code


@each
def test_its_exercises_have_levels_checks_and_solutions(path):
    """In this order: the task, an answer to write, its check, a folded solution."""
    cells = cells_of(path)
    tasks = [
        (i, re.search(r"^### Exercise (\d) · level ([123])$", text, re.M))
        for i, (cell, text) in enumerate(cells)
        if "### Exercise" in text
    ]
    assert [int(match[1]) for _, match in tasks] == list(range(1, len(tasks) + 1))
    assert {match[2] for _, match in tasks} == {"1", "2", "3"}
    for i, match in tasks:
        for (cell, _), tag in zip(
            cells[i + 1 : i + 4], ("exercise", "check", "solution"), strict=True
        ):
            assert tag in cell["metadata"]["tags"], f"Exercise {match[1]}: {tag}"
        solution, text = cells[i + 3]
        assert text.startswith(f"# @title Solution {match[1]}\n")
        assert solution["metadata"]["jupyter"]["source_hidden"]
        assert solution["metadata"]["cellView"] == "form"
        after = solution["metadata"]["nbmake"]["post_cell_execute"]
        assert any("assert_slips_are_noticed(check_" in line for line in after)
    assert len(cells_of(path, "code", "solution")) == len(tasks) >= 3


@each
def test_it_asks_before_it_answers(path):
    asked = [text for _, text in cells_of(path, "markdown") if "**Predict.**" in text]
    assert len(asked) >= (2 if path.stem.startswith("00") else 4)


@each
def test_its_headings_are_numbered(path):
    numbers = [
        int(match[1])
        for _, text in cells_of(path, "markdown")
        for match in re.finditer(r"^## (\d+) · ", text, re.M)
    ]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers


def test_finding_tfattn(tmp_path):
    """In its repository, by pip from the place that is given, or an error in words."""
    # `-S` leaves out installed packages, and with them tfattn.
    code = f"cell = {FIND!r}\n"

    def run(line, folder, **environment):
        return subprocess.run(
            [sys.executable, "-S", "-c", code + line],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    found = run("exec(cell); import tfattn; print(tfattn.__file__)", ROOT / "notebooks")
    assert found.stdout.strip() == str(ROOT / "tfattn" / "__init__.py"), found.stderr
    found = run("exec(cell)", tmp_path)
    assert "ValueError: tfattn is not installed: set TFATTN" in found.stderr
    line = (
        "import subprocess; subprocess.run = lambda words, check: print(words[1:]);"
        "exec(cell.replace('TFATTN = \"\"', 'TFATTN = \"place.whl\"'))"
    )
    found = run(line, tmp_path)
    assert "'-m', 'pip', 'install', '--quiet', 'place.whl'" in found.stdout


@pytest.mark.ci
def test_each_notebook_runs_alone_with_the_wheel(tmp_path):
    """Copied into an empty folder, with tfattn as its wheel installs it.

    Where this machine has the data sets, it is with them, and not with their fallback.
    """
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packages = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", packages, wheel], check=True)
    for path in NOTEBOOKS:
        folder = tmp_path / path.stem
        folder.mkdir()
        shutil.copy(path, folder)
        notebook = json.loads((folder / path.name).read_text(encoding="utf-8"))
        for cell in notebook["cells"]:  # what only this repository's tests run
            cell["metadata"].get("nbmake", {}).pop("post_cell_execute", None)
        check = f"assert tfattn.__file__.startswith({str(packages)!r})"
        first = next(c for c in notebook["cells"] if c["cell_type"] == "code")
        first["source"] = [FIND, "\nimport tfattn\n", check]
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "-q", "-n", "2", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-4000:]
    assert f"{len(NOTEBOOKS)} passed" in found.stdout
