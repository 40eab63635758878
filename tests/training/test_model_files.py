"""Models from files: ours, with their arrays, and nothing else that a file says."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import small

from tfattn.models import AttentionVAE
from tfattn.training.model_files import read_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    small.MAKERS["vae_by_class"]().save(path)
    return path


def rewritten(source, target, change):
    """A copy of a model's file, whose description is changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = json.dumps(change(json.loads(content))).encode()
            new.writestr(name, content)
    return target


@pytest.mark.backend
@pytest.mark.parametrize("name", ["vae_by_class", "transformer_by_text"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_model_comes_back_with_its_policy(name, dtype, tmp_path):
    arguments = small.MAKERS[name]().get_config() | {"dtype": dtype}
    model = type(small.MAKERS[name]()).from_config(arguments)
    model.save(tmp_path / "model.keras")
    found = read_model(tmp_path / "model.keras")
    assert type(found) is type(model) and found.dtype_policy.name == dtype
    assert json.dumps(found.get_config()) == json.dumps(model.get_config())
    for one, other in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", small.MAKERS)
def test_every_kind_of_model_comes_back(name, tmp_path):
    model = small.compiled(name)
    for weight in model.weights:
        if weight.dtype == "float32":
            noise = np.random.default_rng(1).normal(0, 0.1, weight.shape)
            weight.assign(weight + noise)
    model.save(tmp_path / "model.keras")
    found = read_model(tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if name == "vae":
        one, other = (m.reconstruct(small.images()) for m in (found, model))
        np.testing.assert_array_equal(one, other)


def test_frozen_parts_and_lora_come_back(tmp_path):
    model = AttentionVAE(small.SHAPE, 3, width=8)
    model.encoder.trainable = False
    model.decoder_features.layers[1].enable_lora(2)
    model.save(tmp_path / "model.keras")
    found = read_model(tmp_path / "model.keras")
    assert not found.encoder.trainable
    assert found.decoder_features.layers[1].lora_rank == 2


def evil(class_name="Lambda", **config):
    """What Keras's loader would make an object of."""
    return {"module": "keras.layers", "class_name": class_name, "config": config}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_name": "Functional"}, "a model of.*Received: 'Functional'"),
        ({"class_name": ["AttentionVAE"]}, "a model of"),
        ({"config": {"width": evil(function="f")}}, "plain arguments.*width="),
        ({"config": {"name": [evil()]}}, "plain arguments.*name="),
        ({"config": {"dtype": "evil"}}, "plain arguments.*dtype='evil'"),
        ({"config": {"dtype": evil("DTypePolicy", name="int8")}}, "dtype='int8'"),
        ({"config": {"width": 2**40}}, "plain arguments.*width="),
        ({"config": {"width": float("nan")}}, "plain arguments.*width="),
        ({"config": {"width": "8"}}, "width='8'"),
        ({"config": {"width": 16}}, "could not be loaded"),
        ({"config": {"depth": 16}}, "depth"),
        ({"config": {"frozen": [99]}}, "damaged.*range"),
        ({"config": {"lora": [99]}}, "damaged"),
        ({"config": {"name": "x" * 2**20}}, "arguments have"),
        ({"config": None}, "a model that tfattn has saved"),
    ],
)
def test_anything_else_is_refused(changes, words, saved, tmp_path):
    def change(found):
        config = changes.get("config", {})
        merged = None if config is None else found["config"] | config
        return found | changes | {"config": merged}

    path = rewritten(saved, tmp_path / "model.keras", change)
    with pytest.raises(ValueError, match=words):
        read_model(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_short_is_refused(share, saved, tmp_path):
    path = tmp_path / "model.keras"
    content = saved.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="a model that tfattn has saved"):
        read_model(path)


@pytest.mark.parametrize("content", [None, b"no arrays"])
def test_a_file_without_arrays_is_refused(content, saved, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        new.writestr("config.json", old.read("config.json"))
        if content:
            new.writestr("model.weights.h5", content)
    with pytest.raises(ValueError, match="damaged"):
        read_model(path)
    shutil.copy(saved, path)
    read_model(path)
