"""What an importer and a reader of the repository rely on."""

import importlib
import importlib.metadata
import inspect
import pkgutil
from pathlib import Path

import keras
import pytest
from conftest import run_python

import tfattn

ROOT = Path(__file__).parent.parent
MODULES = [module.name for module in pkgutil.walk_packages(tfattn.__path__, "tfattn.")]


@pytest.mark.slow
def test_import_loads_keras_and_nothing_heavier():
    code = (
        "import sys, keras; before = set(sys.modules); import tfattn; "
        "[getattr(tfattn, name) for name in tfattn.__all__]; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(*sorted(new & {'sklearn', 'matplotlib', 'tensorflow_datasets', "
        "'skimage', 'torch', 'jax', 'tensorflow'}))"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


WITHOUT_THE_REST = """
import importlib.abc, importlib.util, sys

class Missing(importlib.abc.MetaPathFinder):
    names = {"tensorflow", "tensorflow_datasets", "sklearn", "skimage", "matplotlib"}
    names |= {"PIL", "tqdm"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
find = importlib.util.find_spec  # PyTorch asks it what there is
importlib.util.find_spec = lambda name, package=None: (
    None if name.split(".")[0] in Missing.names else find(name, package)
)
import numpy as np, tfattn
layer = tfattn.layers.SelfAttention2D()
print(layer(np.ones((1, 4, 4, 16), "float32")).shape)
print(tfattn.models.load_pretrained("gan_mnist").generate(2, [1, 2], seed=0).shape)
x = tfattn.data.binarize(tfattn.data.load("mnist").x_test[:8], seed=0)
vae = tfattn.models.AttentionVAE(width=8)
vae.compile("adam", run_eagerly=True)
print(np.isfinite(vae.train_on_batch(x)).all())
"""


@pytest.mark.backend
@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="needs KERAS_BACKEND=jax or torch"
)
def test_layers_models_and_digits_need_keras_and_a_backend_alone():
    result = run_python(WITHOUT_THE_REST)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[-2] == "True"


@pytest.mark.parametrize("module", [getattr(tfattn, name) for name in tfattn.__all__])
def test_public_names_are_documented(module):
    """Classes, functions and methods by words of their own, not inherited ones."""
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        if name.startswith("_") or not callable(value):
            continue
        if not value.__module__.startswith("tfattn"):  # imported from elsewhere
            continue
        assert value.__doc__, name
        if not inspect.isclass(value):
            continue
        for method, function in vars(value).items():
            # What overrides a method of Keras has Keras's words.
            new = not any(hasattr(base, method) for base in value.__mro__[1:])
            if inspect.isfunction(function) and new and not method.startswith("_"):
                assert function.__doc__, f"{name}.{method}"


def _public_functions(module):
    """Pairs of a name and a function or method that this module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value
        if not inspect.isclass(value):
            continue
        # What overrides a method of Keras has Keras's arguments.
        others = [b for b in value.__mro__ if not b.__module__.startswith("tfattn")]
        for method, function in vars(value).items():
            if isinstance(function, property):
                function = function.fget
            function = getattr(function, "__func__", function)  # of a class method
            inherited = any(hasattr(other, method) for other in others)
            new = not method.startswith("_") and not inherited
            if inspect.isfunction(function) and (new or method == "__init__"):
                yield f"{name}.{method}", function


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_annotated(name):
    """All arguments, but for self, cls, *args and **kwargs, and the result."""
    for path, function in _public_functions(importlib.import_module(name)):
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, path
        for argument in signature.parameters.values():
            if argument.name not in ("self", "cls") and argument.kind not in (
                argument.VAR_POSITIONAL,
                argument.VAR_KEYWORD,
            ):
                assert argument.annotation is not argument.empty, (path, argument.name)


def test_annotation_check_finds_functions():
    """It looks at functions, constructors, methods and decorated functions."""
    found = [
        f"{module}.{name}"
        for module in MODULES
        for name, _ in _public_functions(importlib.import_module(module))
    ]
    assert {
        "tfattn.ops.attention",
        "tfattn.layers.self_attention_2d.SelfAttention2D.attention_map",
        "tfattn.models.vae.model.AttentionVAE.__init__",
        "tfattn.models.vae.drawing.VAEDrawing.generate",
        "tfattn.models.pretrained.load_pretrained",
        "tfattn.training.runs.RunFolder.restore",
        "tfattn._remarks.without_remarks",
    } <= set(found)


def test_weights_stay_small():
    files = list((ROOT / "tfattn" / "weights").glob("*.h5"))
    assert files and sum(f.stat().st_size for f in files) < 40e6
    assert all(f.stat().st_size < 8e6 for f in files)


def test_licenses_of_code_and_data_are_declared():
    about = importlib.metadata.metadata("tfattn")
    assert about["License-Expression"] == "Apache-2.0 AND CC-BY-SA-3.0"
    of_mnist = "tfattn/data/LICENSE-MNIST.txt"
    assert set(about.get_all("License-File")) == {"LICENSE", of_mnist}
    text = (ROOT / of_mnist).read_text()
    for words in ("Yann LeCun", "Corinna Cortes", "Burges", "THE WORK IS PROTECTED"):
        assert words in text
