"""What an importer and a reader of the repository rely on."""

import importlib.metadata
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tfattn

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
def test_import_loads_keras_and_nothing_heavier():
    code = (
        "import sys, keras; before = set(sys.modules); import tfattn; "
        "[getattr(tfattn, name) for name in tfattn.__all__]; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(*sorted(new & {'sklearn', 'matplotlib', 'tensorflow_datasets', "
        "'skimage', 'torch', 'jax', 'tensorflow'}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("module", [getattr(tfattn, name) for name in tfattn.__all__])
def test_public_names_are_documented(module):
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) or ""
        if not name.startswith("_") and own.startswith("tfattn"):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebook_is_committed_as_it_ran(path):
    """Every cell ran in order, nothing failed, pictures are there, CI has its mock."""
    notebook = json.loads(path.read_text())
    code = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    assert any("mock" in cell["metadata"].get("nbmake", {}) for cell in code)
    assert notebook["metadata"]["execution"]["timeout"] == 600
    assert path.stat().st_size < 1_000_000


def test_weights_stay_small():
    files = list((ROOT / "tfattn" / "weights").glob("*.h5"))
    assert files and sum(f.stat().st_size for f in files) < 25e6
    assert all(f.stat().st_size < 8e6 for f in files)


def test_licences_of_code_and_data_are_declared():
    about = importlib.metadata.metadata("tfattn")
    assert about["License-Expression"] == "Apache-2.0 AND CC-BY-SA-3.0"
    of_mnist = "tfattn/data/LICENSE-MNIST.txt"
    assert set(about.get_all("License-File")) == {"LICENSE", of_mnist}
    text = (ROOT / of_mnist).read_text()
    for words in ("Yann LeCun", "Corinna Cortes", "Burges", "THE WORK IS PROTECTED"):
        assert words in text
