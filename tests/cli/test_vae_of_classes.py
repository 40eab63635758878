"""`tfattn train vae --condition class`: measured and drawn with the classes."""

import dataclasses
import json

import numpy as np
import pytest
import small
from conftest import on_tensorflow

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli.systems import SYSTEMS, vae
from tfattn.cli.systems.likelihood import with_levels
from tfattn.models import AttentionVAE
from tfattn.training.runs import load_run

pytestmark = on_tensorflow
SYSTEM = SYSTEMS["vae"]


@pytest.fixture
def digits():
    return small.few_digits(num_test=90)


@pytest.fixture
def model(digits):
    """Untrained, but its class counts: for the prior, too."""
    built = SYSTEM.build(digits, seed=0, attention="self", condition="class")
    generator = np.random.default_rng(0)
    for variable in built.prior.trainable_variables:
        variable.assign(variable + 0.1 * generator.normal(size=variable.shape))
    return built


def test_the_classes_are_trained_on(digits, model):
    assert isinstance(model, AttentionVAE) and model.num_classes == 10
    x, y = SYSTEM.training_arrays(digits, model)
    np.testing.assert_array_equal(x, digits.x_train)
    np.testing.assert_array_equal(y, digits.y_train)


def test_bounds_are_those_of_each_image_and_its_class(digits, model):
    x, y = with_levels(digits.x_test, 2), digits.y_test
    found = SYSTEM.measure(model, digits)
    of_class = -model.elbo(x, y).mean()
    of_others = -model.elbo(x, (y + 1) % 10).mean()
    assert abs(of_class - of_others) > 1
    assert found["negative_elbo"]["value"] == pytest.approx(of_class)
    others = found["negative_elbo_of_other_classes"]["value"]
    assert others == pytest.approx(of_others)
    assert "recognized" not in found  # no classifier of these digits is in the package

    options = {"num_samples": 3, "subset_size": 40, "subset_num_samples": 5}
    found = SYSTEM.evaluate(model, digits, **options)
    assert found["negative_elbo"]["value"] == pytest.approx(of_class)
    bound = -model.log_likelihood_bound(x, y, num_samples=3).mean()
    assert found["negative_log_likelihood_3"]["value"] == pytest.approx(bound, rel=1e-5)
    chosen = np.sort(np.random.default_rng(0).permutation(90)[:40])
    bound = -model.log_likelihood_bound(x[chosen], y[chosen], num_samples=5).mean()
    assert found["negative_log_likelihood_5"]["value"] == pytest.approx(bound, rel=1e-5)
    assert found["negative_log_likelihood_5"]["num_images"] == 40


def test_recognized_as_the_class_asked_for(model, monkeypatch):
    """A judge that reads the class off the shade; every fifth image has another."""

    def shades(n, condition, *, seed):
        shown = np.where(np.arange(n) % 5 == 0, 9 - condition, condition)
        return np.ones((n, 12, 16, 1)) * shown[:, None, None, None] / 10

    class Judge:
        def classify(self, images):
            return np.rint(10 * images[:, 0, 0, 0]).astype(int)

    loaded = []
    monkeypatch.setattr(model, "generate", shades)
    monkeypatch.setattr(vae, "load_pretrained", lambda n: loaded.append(n) or Judge())
    digits = small.few_digits("mnist", num_test=90)
    # Of the test images the judge takes every third one for another class.
    labels = digits.y_test
    shown = np.where(np.arange(90) % 3 == 0, 9 - labels, labels)
    x_test = np.ones_like(digits.x_test) * shown[:, None, None, None] / 10
    found = SYSTEM.measure(model, dataclasses.replace(digits, x_test=x_test))
    assert found["recognized_real"]["value"] == pytest.approx(2 / 3)
    assert "by classifier_mnist" in found["protocol"]
    assert loaded == ["classifier_mnist"]
    assert found["recognized"]["value"] == pytest.approx(0.8)
    assert found["recognized"]["num_images"] == 90
    result = found | {"data": "mnist", "condition": "class"}
    words = SYSTEM.in_words(result)
    assert "recognizes 80.0% of 90 generated images" in words
    others = result["negative_elbo_of_other_classes"]["value"]
    assert f"Told a wrong one, it needs at most {others:.1f} nats." in words
    assert "66.7% of the test images as theirs" in words
    assert "The VAE in this package" not in words  # it has no classes


def test_a_row_of_the_sheet_is_a_class_and_a_column_a_noise(
    digits, model, monkeypatch, tmp_path
):
    sheets = []
    monkeypatch.setattr(
        vae.plots, "image_grid", lambda rows, title: sheets.append(rows)
    )
    monkeypatch.setattr(vae, "write_figure", lambda *_: None)
    SYSTEM.draw(model, digits, tmp_path)
    for label in (0, 7):
        expected = model.generate(10, np.full(10, label), seed=vae.SAMPLE_SEED)
        np.testing.assert_allclose(sheets[0][label], expected, atol=1e-6)
    assert sheets[0].shape == (10, 10, 12, 16, 1)


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", small.few_digits)
    run = tmp_path / "run"
    of_data = ["--data", "digits", "--condition", "class", "--epochs", "1"]
    cli.main(["train", "vae", *of_data, "--out", str(run)])
    result = json.loads((run / "metrics.json").read_text())
    assert result["condition"] == "class"
    model, _ = load_run(run)
    digits = small.few_digits()
    nats = -model.elbo(with_levels(digits.x_test, 2), digits.y_test).mean()
    assert result["negative_elbo"]["value"] == pytest.approx(nats, rel=1e-5)
    options = ["--num-samples", "2", "--subset-size", "9", "--subset-num-samples", "2"]
    cli.main(["evaluate", str(run), *options])
    for condition in ("7", "2"):
        out = tmp_path / f"{condition}.npz"
        command = ["generate", str(run), "--num-images", "3", "--out", str(out)]
        cli.main([*command, "--condition", condition])
    sevens, twos = (np.load(tmp_path / f"{c}.npz")["images"] for c in "72")
    assert sevens.shape == (3, 12, 16, 1) and np.any(sevens != twos)
    with pytest.raises(SystemExit, match="from 0 to 9"):
        cli.main([*command, "--condition", "10"])


def test_a_class_for_each_image_is_needed(digits):
    without = dataclasses.replace(digits, y_train=None)
    with pytest.raises(ValueError, match="a class for each image"):
        SYSTEM.build(without, seed=0, attention="self", condition="class")
