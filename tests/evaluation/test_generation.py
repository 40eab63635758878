"""The report on generated images, with a classifier made by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from tfattn import evaluation
from tfattn.evaluation import (
    FewImagesWarning,
    frechet_distance,
    generation_report,
    kernel_distance,
    precision_recall,
)

pytestmark = pytest.mark.filterwarnings("ignore::tfattn.evaluation.FewImagesWarning")


class Judge:
    """Its features are the pixels; an image is of the class of its largest pixel."""

    def features(self, x):
        return x.reshape(len(x), -1)

    def classify(self, x):
        return self.features(x).argmax(axis=1)


def test_report_is_made_of_the_single_measures():
    rng = np.random.default_rng(0)
    real, generated = rng.random((11, 1, 3, 1)), 0.5 * rng.random((13, 1, 3, 1))
    features = real.reshape(11, 3), generated.reshape(13, 3)
    labels = features[1].argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 3
    report = generation_report(generated, real, features=Judge(), labels=labels)
    assert report["recognized"] == pytest.approx(9 / 13)
    assert report["frechet_distance"] == frechet_distance(*features)
    assert report["kernel_distance"] == kernel_distance(*features, subset_size=11).value
    expected = precision_recall(*features)
    assert (report["precision"], report["recall"]) == expected
    assert expected.precision != expected.recall
    without = generation_report(generated, real, features=Judge())
    assert without == {k: v for k, v in report.items() if k != "recognized"}


def flattened(x):
    return x.reshape(len(x), -1)


def test_any_model_or_function_gives_features():
    """Also of more images than a model gets at once."""
    rng = np.random.default_rng(0)
    real, generated = rng.random((260, 2, 3, 1), "float32"), rng.random((240, 2, 3, 1))
    inputs = keras.Input((2, 3, 1))
    double = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    expected = generation_report(2 * generated, 2 * real, features=flattened)
    found = generation_report(generated.astype("float32"), real, features=double)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_real_images_are_the_floor_and_noise_is_seen():
    rng = np.random.default_rng(0)
    real, training = rng.random((300, 2, 3, 1)), rng.random((400, 2, 3, 1))
    generated = 0.5 + 0.5 * rng.random((200, 2, 3, 1))
    report = generation_report(generated, real, features=flattened, training=training)
    chosen = np.random.default_rng(0).permutation(400)[:200]
    floor = frechet_distance(flattened(real), flattened(training[chosen]))
    assert report["real"]["frechet_distance"] == floor
    assert report["frechet_distance"] > 5 * floor
    assert report["real_with_noise"]["frechet_distance"] > floor
    assert set(report["real"]) == {*report} - {"real", "real_with_noise"}


def test_few_images_are_warned_of():
    x = np.random.default_rng(0).random((1999, 1, 2, 1))
    more = np.concatenate([x, x])
    for generated, real in ((x, more), (more, x)):
        with pytest.warns(FewImagesWarning, match="1999 images"):
            generation_report(generated, real, features=flattened)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"features": "vgg"}, "inception"),
        ({"features": None}, "inception"),
        ({"features": flattened, "labels": [0] * 5}, "classify"),
    ],
)
def test_what_gives_no_features_is_refused(arguments, words):
    x = np.zeros((5, 1, 2, 1))
    with pytest.raises(ValueError, match=words):
        generation_report(x, x, **arguments)


def test_inception_gets_colors_from_minus_one_to_one(monkeypatch):
    seen = []

    def build(include_top, pooling):
        assert (include_top, pooling) == (False, "avg")

        def network(x):
            seen.append(ops.convert_to_numpy(x))
            return ops.mean(x, axis=(1, 2))

        return network

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    x = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")
    x[0], x[1] = 0, 1
    found = evaluation.feature_function("inception")(x)
    assert seen[0].shape == (3, 299, 299, 3) and found.shape == (3, 3)
    np.testing.assert_allclose(found[0], -1, atol=1e-5)
    np.testing.assert_allclose(found[1], 1, atol=1e-5)
    np.testing.assert_allclose(found[2], 2 * x[2].mean() - 1, atol=0.02)


def test_inception_without_a_network_is_a_clear_error(monkeypatch):
    def build(**arguments):
        raise Exception("URL fetch failure on https://images.invalid: None -- [Errno]")

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    x = np.zeros((5, 8, 8, 3))
    with pytest.raises(ValueError, match=r"InceptionV3.*URL fetch failure"):
        generation_report(x, x, features="inception")
