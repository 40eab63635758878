"""`tfattn train translator`, and `tfattn generate` of a drawing."""

import json

import numpy as np
import pytest
import small
from conftest import on_tensorflow
from PIL import Image

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli.systems import SYSTEMS, translator
from tfattn.data import drawings
from tfattn.training.runs import load_run

pytestmark = on_tensorflow
SYSTEM = SYSTEMS["translator"]


def test_each_image_is_given_its_own_drawing():
    """Black and white shapes as skeletons, gray and colors as edges."""
    digits = small.few_digits(num_train=6, num_test=4)
    x = np.random.default_rng(0).random((4, 12, 16, 3), "float32").round()
    x[0, 0, 0] = 0.5  # neither black nor white
    colors = data.Dataset("mine", "made", x, None, x[:2], None)
    for dataset, levels, draw in (
        (digits, 2, drawings.skeletons),
        (colors, 8, drawings.edges),
    ):
        model = SYSTEM.build(dataset, seed=0, mixed_precision=False)
        assert model.levels == levels and model.condition == "image"
        images, given = SYSTEM.training_arrays(dataset, model)
        np.testing.assert_array_equal(images, dataset.x_train)
        np.testing.assert_array_equal(given, draw(dataset.x_train))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small.trained(tmp_path_factory.mktemp("translator") / "run", "translator")


@pytest.mark.slow
def test_a_run(run, monkeypatch):
    result = json.loads((run / "metrics.json").read_text())
    model, _ = load_run(run)
    digits = small.few_digits()
    x = data.binarize(digits.x_test, 0)
    nats = -model.log_likelihood(x, drawings.skeletons(digits.x_test)).mean()
    found = result["negative_log_likelihood"]["value"]
    assert found == pytest.approx(nats, rel=1e-5)
    assert "skeletons" in result["protocol"]
    assert "given its drawing" in SYSTEM.in_words(result)
    for name in ("samples", "attention"):
        assert (run / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(data, "load", small.few_digits)
    cli.main(["evaluate", str(run)])
    assert json.loads((run / "metrics.json").read_text()) == result


@pytest.mark.slow
def test_images_of_a_drawing(run, tmp_path, capsys):
    """A drawing as it is, gray lines rounded; the same one for all images."""
    lines = np.zeros((12, 16), "uint8")
    lines[3:9, 5], lines[2, 3:12] = 200, 255
    path, out = tmp_path / "drawing.png", tmp_path / "images.npz"
    Image.fromarray(lines).save(path)
    arguments = ["--condition", str(path), "--num-images", "3", "--seed", "4"]
    cli.main(["generate", str(run), *arguments, "--out", str(out)])
    assert "16×12 pixels" in capsys.readouterr().out
    model, _ = load_run(run)
    given = np.repeat((lines > 0)[None, ..., None].astype("float32"), 3, axis=0)
    assert given.sum() == 3 * (6 + 9)
    with np.load(out) as found:
        np.testing.assert_array_equal(found["images"], model.generate(3, given, seed=4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Expected --condition with a picture file"),
        (["--condition", "missing.png"], "Expected a picture file"),
    ],
)
def test_without_a_drawing(run, arguments, words):
    with pytest.raises(SystemExit, match=words):
        cli.main(["generate", str(run), *arguments])


def test_maps_lie_on_the_drawing(monkeypatch, tmp_path):
    """Of a pixel that map which its token has of the patches."""
    digits = small.few_digits(num_train=6, num_test=5)
    model, drawn = SYSTEM.build(digits, seed=0, mixed_precision=False), {}
    rng = np.random.default_rng(0)
    cross = rng.random((4, 2, 2, model.tokens.num_tokens, 48), "float32")
    monkeypatch.setattr(model, "attention_maps", lambda x, given: (None, cross))
    monkeypatch.setattr(translator, "write_figure", lambda *_: None)
    monkeypatch.setattr(
        translator.plots, "attention_figure", lambda *a, **_: drawn.update(found=a)
    )
    SYSTEM.draw(model, digits, tmp_path)
    given, maps, queries, _ = drawn["found"]
    np.testing.assert_array_equal(given, drawings.skeletons(digits.x_test[:4]))
    assert maps.shape == (4, 12, 16, 6, 8)
    # Changing a pixel changes the token that holds it.
    for row, column in ((0, 0), (5, 9), (11, 2), *queries):
        image = np.zeros((1, 12, 16, 1), "int32")
        before = np.asarray(model.tokens.from_levels(image))
        image[0, row, column] = 1
        (token,) = np.flatnonzero(np.asarray(model.tokens.from_levels(image)) - before)
        expected = cross.mean(axis=(1, 2))[:, token].reshape(4, 6, 8)
        np.testing.assert_allclose(maps[:, row, column], expected, rtol=1e-5)
        # Those that are shown are of the finest image, whose 48 tokens come last.
        last = token >= model.tokens.num_tokens - 48
        assert last or (row, column) not in queries
