"""Exported functions give in other programs what they give here."""

import keras
import numpy as np
import pytest
import small
from conftest import on_tensorflow

backend = keras.backend.backend()

# What each kind of model exports besides `call`.
FUNCTIONS = {
    "vae": ["generate"],
    "vae_of_levels": ["generate"],
    "vae_by_class": ["generate"],
    "gan_by_class": [],
    "transformer_by_class": ["generate", "next_token"],
    "transformer_by_text": ["generate", "next_token"],
    "transformer_by_image": ["generate", "next_token"],
    "completion_by_mask": ["complete"],
    "completion_adversarial": ["complete"],
    "flow_by_class": ["generate", "velocity"],
    "flow_completing_by_class": ["complete", "generate", "velocity"],
    "flow_by_text": ["generate", "velocity"],
    "captioner_by_text": ["next_word"],
    "classifier": [],
}
CASES = [
    pytest.param("vae_by_class", "generate", marks=pytest.mark.ci),
    pytest.param("vae_of_levels", "generate", marks=pytest.mark.ci),
    pytest.param("gan_by_class", "call", marks=pytest.mark.ci),
    pytest.param("transformer_by_text", "generate", marks=pytest.mark.backend),
    ("transformer_by_class", "next_token"),
    pytest.param("transformer_by_image", "next_token", marks=pytest.mark.ci),
    pytest.param("transformer_by_image", "generate", marks=pytest.mark.ci),
    ("completion_by_mask", "complete"),
    pytest.param("flow_by_class", "generate", marks=pytest.mark.ci),
    pytest.param("flow_by_class", "velocity", marks=pytest.mark.ci),
    pytest.param("flow_by_text", "velocity", marks=pytest.mark.ci),
    pytest.param("flow_completing_by_class", "complete", marks=pytest.mark.ci),
    pytest.param("captioner_by_text", "next_word", marks=pytest.mark.backend),
    ("classifier", "call"),
]
N = 5  # not the number that a tool would put in place of any


def case(name, function):
    """A model, inputs of its function by name, and what it gives there."""
    model = small.MAKERS[name]()
    images, condition = small.images(N), small.condition(name, N)
    if name == "classifier":
        return model, {"images": images}, keras.ops.convert_to_numpy(model(images))
    if name == "gan_by_class":
        latents = model.sample_latents(N, seed=1)
        inputs = {"latents": latents, "condition": condition.astype("int32")}
        return model, inputs, model.generate_from(latents, condition)
    encoded = model._checked_condition(condition, N)
    if function == "velocity":
        inputs = {"images": normal((N, *small.SHAPE)), "times": np.linspace(0, 1, N)}
        inputs["times"] = inputs["times"].astype("float32")
        of_network = [*inputs.values(), model._encoded(encoded)]
        velocity = model.average_network(
            [keras.ops.convert_to_tensor(x) for x in of_network]
        )
        inputs["condition"] = encoded
        return model, inputs, keras.ops.convert_to_numpy(velocity)
    if function == "next_word":
        inputs = {"images": images, "words": encoded}
        return model, inputs, keras.ops.convert_to_numpy(model._logits(images, encoded))
    if function == "next_token":
        tokens = model.tokens.from_levels(images.astype("int32"))
        inputs = {"tokens": keras.ops.convert_to_numpy(tokens), "condition": encoded}
        logits = model.network(*inputs.values())
        return model, inputs, keras.ops.convert_to_numpy(logits)
    if name == "flow_completing_by_class":
        return (model, *completions_of(model, images, condition))
    if function == "complete":
        noise = normal((N, 1, model.latent_dim))[:, 0]
        expected = model.complete(images, condition, seed=1)[:, 0]
        # What stands at hidden pixels has no influence.
        images = np.where(encoded == 1, images, np.float32(0.3))
        inputs = {"images": images, "visible": encoded, "noise": noise}
        return model, inputs, expected
    expected = model.generate(N, condition, seed=1)
    if name.startswith(("vae", "flow")):
        latent = (model.latent_dim,) if name.startswith("vae") else small.SHAPE
        inputs = {"noise": normal((N, *latent))}
        if encoded is not None:
            inputs["condition"] = encoded
        return model, inputs, expected
    uniform = keras.random.uniform((N, model.tokens.num_tokens), seed=1)
    inputs = {"uniform": keras.ops.convert_to_numpy(uniform), "condition": encoded}
    return model, inputs, expected


def completions_of(model, images, condition):
    """Inputs of the function and what it gives, of a flow that knows the classes."""
    weights = model.average_network.get_weights()
    rng = np.random.default_rng(0)  # the last layer would be zero
    model.average_network.set_weights([rng.normal(0, 0.1, w.shape) for w in weights])
    visible = small.condition("completion_by_mask", N)
    expected = model.complete(images, visible, condition=condition, seed=1)[:, 0]
    noise = np.random.default_rng(1).standard_normal((N, *small.SHAPE), "float32")
    inputs = {
        "images": np.where(visible[..., None], images, np.float32(0.3)),
        "visible": visible[..., None].astype("float32"),
        "noise": noise,
        "condition": condition.astype("int32"),
    }
    return inputs, expected


def normal(shape):
    return keras.ops.convert_to_numpy(keras.random.normal(shape, seed=1))


def run_saved_model(path, inputs):
    tf = pytest.importorskip("tensorflow")
    inputs = [tf.constant(x) for x in inputs.values()]
    loaded = tf.saved_model.load(str(path))
    return loaded.serve(inputs if len(inputs) > 1 else inputs[0])


def run_onnx(path, inputs):
    import onnxruntime

    (output,) = onnxruntime.InferenceSession(path).run(None, inputs)
    return output


def run_litert(path, inputs):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path))
    (output,) = interpreter.get_signature_runner("serving_default")(**inputs).values()
    return output


@pytest.mark.ci
@pytest.mark.skipif(backend == "torch", reason="needs KERAS_BACKEND=tensorflow or jax")
@pytest.mark.parametrize(
    ("format", "run", "ending"),
    [
        ("tf_saved_model", run_saved_model, ""),
        pytest.param("onnx", run_onnx, ".onnx", marks=on_tensorflow),
        pytest.param("litert", run_litert, ".tflite", marks=on_tensorflow),
    ],
)
@pytest.mark.parametrize(("name", "function"), CASES)
def test_other_programs_find_the_same(name, function, format, run, ending, tmp_path):
    pytest.importorskip("tensorflow")
    model, inputs, expected = case(name, function)
    if format == "onnx" and function in model.NOT_IN_ONNX:
        pytest.skip("refused, as the test below says")
    path = tmp_path / f"exported{ending}"
    model.export(path, format, function=function, verbose=False)
    found = np.asarray(run(path, inputs))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.ci
@on_tensorflow
@pytest.mark.parametrize(
    "name", ["vae", pytest.param("completion_by_mask", marks=pytest.mark.ci)]
)
def test_call_is_exported_without_arguments(name, tmp_path):
    model, x, condition = (
        small.MAKERS[name](),
        small.images(N),
        small.condition(name, N),
    )
    model.export(tmp_path / "exported")
    inputs = {"images": x}
    if condition is not None:
        inputs["visible"] = model._checked_condition(condition, N)
    found = run_saved_model(tmp_path / "exported", inputs)
    np.testing.assert_array_equal(found["images"], x)
    loss = np.mean(found["reconstruction"]) + np.mean(found["kl"])
    elbo = model.elbo(*[x, condition][: len(inputs)], num_samples=50, seed=0).mean()
    assert abs(loss + elbo) < 0.05 * abs(elbo)


def test_torch_is_refused(tmp_path, monkeypatch):
    model = small.MAKERS["classifier"]()
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="Expected KERAS_BACKEND=tensorflow, or jax"):
        model.export(tmp_path / "exported")


@on_tensorflow
@pytest.mark.parametrize("name", small.MAKERS)
def test_functions_are_listed_and_others_refused(name, tmp_path):
    model = small.MAKERS[name]()
    functions = sorted(["call", *FUNCTIONS[name]])
    with pytest.raises(ValueError, match="Expected function in") as error:
        model.export(tmp_path / "exported", function="fit")
    assert str(functions) in str(error.value)
    for function in FUNCTIONS[name]:
        assert f"{function}: " in type(model).__doc__
    if model.NOT_IN_ONNX:
        with pytest.raises(ValueError, match="ONNX has no random") as error:
            model.export(tmp_path / "exported.onnx", "onnx")
        left = [function for function in functions if function not in model.NOT_IN_ONNX]
        assert f"in {left}" in str(error.value)
    if name.startswith("transformer"):
        with pytest.raises(ValueError, match="function='generate'"):
            model.export(tmp_path / "exported.onnx", "onnx", function="generate")
    assert not list(tmp_path.iterdir())
