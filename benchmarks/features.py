"""What Keras promises of a model, tried with every kind of model on one backend.

    KERAS_BACKEND=jax python benchmarks/features.py
    KERAS_BACKEND=jax python benchmarks/features.py AttentionFlow

writes into benchmarks/results/features.json, for its backend, what came of each trial:
"yes", or the words in which we refuse it. Any other error ends the program. The
models are those of the tests, small and trained for one epoch on six images.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import small  # noqa: E402

from tfattn.models import AttentionFlow, ImageTransformer, SelfAttentionGAN  # noqa: E402

RESULTS = ROOT / "benchmarks/results/features.json"
BACKEND = keras.backend.backend()
# Of each kind: the model without a condition, and the one with one.
MODELS = {
    "AttentionVAE": ("vae", "vae_by_class"),
    "SelfAttentionGAN": ("gan", "gan_by_class"),
    "ImageTransformer": ("transformer", "transformer_by_text"),
    "CompletionVAE": ("completion", "completion_by_mask"),
    "CompletionVAE, adversarial": ("completion_adversarial", None),
    "AttentionFlow": ("flow", "flow_by_class"),
    "ImageCaptioner": (None, "captioner_by_text"),
    "ImageClassifier": (None, "classifier"),
}
small.MAKERS |= {
    "gan": lambda: SelfAttentionGAN(small.SHAPE, 3, width=8),
    "transformer": lambda: ImageTransformer(
        small.SHAPE, num_layers=1, num_heads=2, width=8
    ),
    "completion": small.MAKERS["completion_by_mask"],
    "flow": lambda: AttentionFlow(small.SHAPE, width=8),
}
small.ADVERSARIAL += ("gan",)
PROTOCOL = (
    "small models of each kind, one epoch on six random images; a training counts if "
    "every number of its history is finite"
)

LOAD = """
import sys, keras, numpy as np, tfattn.models
model = keras.saving.load_model(sys.argv[1])
sums = [keras.ops.convert_to_numpy(v).sum() for v in model.weights]
np.testing.assert_allclose(sums, np.load(sys.argv[2]), rtol=1e-6)
"""


def data_of(name):
    condition = small.condition(name)
    return (small.images(),) if condition is None else (small.images(), condition)


def trained(name, data=None, metrics=None, validate=False, callbacks=None, **compiled):
    """What `fit` returns of one epoch, which must be finite."""
    model = small.compiled(name, metrics, **compiled)
    given = data_of(name) if data is None else data
    validation_data = data_of(name) if validate else None
    history = model.fit(
        *given, validation_data=validation_data, callbacks=callbacks, verbose=0
    ).history
    assert history and all(np.isfinite(values).all() for values in history.values())
    return model, history


def images_alone(plain, conditional):
    trained(plain)


def with_condition(plain, conditional):
    trained(conditional)


def tf_data(plain, conditional):
    import tensorflow as tf

    name = conditional or plain
    data = tf.data.Dataset.from_tensor_slices(data_of(name)).batch(3)
    trained(name, (data,))


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(array[3 * index : 3 * index + 3] for array in self.arrays)


def py_dataset(plain, conditional):
    name = conditional or plain
    trained(name, (Batches(*data_of(name)),))


def validation(plain, conditional):
    _, history = trained(conditional or plain, validate=True)
    assert any(key.startswith("val_") for key in history)


def callbacks(plain, conditional):
    epochs = []
    called = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epochs.append(dict(logs))
    )
    trained(conditional or plain, callbacks=[called])
    assert len(epochs) == 1 and epochs[0]


def metric(plain, conditional):
    name = conditional or plain
    _, history = trained(name, metrics=["accuracy" if name == "classifier" else "mse"])
    key = "accuracy" if name == "classifier" else "mean_squared_error"
    assert 0 <= history[key][0] <= 1


def summary(plain, conditional):
    lines = []
    model = small.compiled(conditional or plain)
    if not model.built:
        model.build((None, *small.SHAPE))
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "Total params" in "\n".join(lines)


def saved_and_loaded(plain, conditional):
    model, _ = trained(conditional or plain)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("model.keras", "sums.npy")]
        model.save(paths[0])
        sums = [keras.ops.convert_to_numpy(v).sum() for v in model.weights]
        np.save(paths[1], sums)
        subprocess.run([sys.executable, "-c", LOAD, *paths], check=True, text=True)


def exported(plain, conditional):
    model, _ = trained(conditional or plain)
    with tempfile.TemporaryDirectory() as folder:
        model.export(str(Path(folder) / "exported"), verbose=False)
        assert (Path(folder) / "exported/saved_model.pb").exists()


def half_precision(plain, conditional):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, _ = trained(conditional or plain)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.compute_dtype == "float16"


def compiled_by_xla(plain, conditional):
    trained(conditional or plain, jit_compile=True)


FEATURES = {
    "`fit(x)`": images_alone,
    "`fit(x, condition)`": with_condition,
    "`fit(tf.data)`": tf_data,
    "`fit(PyDataset)`": py_dataset,
    "`validation_data`": validation,
    "callbacks": callbacks,
    "metrics": metric,
    "`summary`": summary,
    "saved, loaded in a new process": saved_and_loaded,
    "`export`": exported,
    "`mixed_float16`": half_precision,
    "`jit_compile=True`": compiled_by_xla,
}


def tried(feature, plain, conditional):
    impossible = (
        (feature is images_alone and plain is None)
        or (feature is with_condition and conditional is None)
        or (feature is compiled_by_xla and BACKEND == "torch")
    )
    if impossible:
        return "–"
    try:
        feature(plain, conditional)
    except (ValueError, NotImplementedError) as refusal:
        words = str(refusal).strip()
        # Ours; any other error is a fault.
        if "Received" not in words and "Expected" not in words:
            raise
        return words.partition("\n")[0]
    return "yes"


def main():
    results = {"protocol": PROTOCOL, "backends": {}}
    if RESULTS.exists():
        results["backends"] = json.loads(RESULTS.read_text(encoding="utf-8"))[
            "backends"
        ]
    models = results["backends"].get(BACKEND, {}).get("models", {})
    for model in sys.argv[1:] or MODELS:
        models[model] = {}
        for title, feature in FEATURES.items():
            models[model][title] = tried(feature, *MODELS[model])
            print(model, title, models[model][title], flush=True)
        results["backends"][BACKEND] = {
            "keras": keras.__version__,
            "models": {name: models[name] for name in MODELS if name in models},
        }
        text = json.dumps(results, indent=1, ensure_ascii=False)
        RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
