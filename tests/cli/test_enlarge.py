"""`tfattn enlarge`: small pictures, several times larger."""

import numpy as np
import pytest
import small
from conftest import on_tensorflow
from PIL import Image

from tfattn import data
from tfattn.cli import enlarge
from tfattn.cli import main as cli
from tfattn.models import ImageTransformer, load_pretrained
from tfattn.training.runs import load_run

pytestmark = [on_tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coarse_to_fine") / "run"
    return small.trained(folder, "transformer", "--order", "coarse_to_fine")


@pytest.mark.parametrize(
    ("size", "taken"),
    [
        ((3, 4), (3, 4)),
        ((6, 8), (6, 8)),
        ((7, 100), (6, 8)),  # the largest that it fills, cut about the middle
        ((100, 7), (3, 4)),
        ((5, 100), (3, 4)),
        ((2, 2), (3, 4)),  # too small for any
    ],
)
def test_every_pixel_of_the_picture_is_kept(run, size, taken, tmp_path, capsys):
    """Images are of 12×16 pixels; (h, w) of pictures."""
    levels = np.random.default_rng(0).integers(0, 2, size)
    path = tmp_path / "small.png"
    Image.fromarray((255 * levels).astype("uint8")).save(path)
    arguments = ["--run", str(run), "--num-samples", "3", "--seed", "1"]
    cli.main(["enlarge", str(path), *arguments])
    out = tmp_path / "small_enlarged"
    words, last = capsys.readouterr().out.splitlines()
    assert last == str(out) and "enlarged to 16×12 pixels" in words
    assert ("resized" in words) == (size != taken)
    assert sorted(p.name for p in out.iterdir()) == [
        *("01.png", "02.png", "03.png", "sheet.png")
    ]
    answers = [np.asarray(Image.open(out / f"0{i}.png")) for i in (1, 2, 3)]
    step = 12 // taken[0]
    for answer in answers:
        assert answer.shape == (12, 16) and np.isin(answer, (0, 255)).all()
        np.testing.assert_array_equal(
            answer[::step, ::step], answers[0][::step, ::step]
        )
        if size == taken:
            np.testing.assert_array_equal(answer[::step, ::step], 255 * levels)
    assert np.any(answers[0] != answers[1])


def test_answers_are_those_of_the_model(run, tmp_path):
    small_image = np.random.default_rng(1).integers(0, 2, (6, 8))
    path, out = tmp_path / "picture.png", tmp_path / "out"
    # Gray pixels are rounded to black and white ones.
    gray = np.where(small_image, 140, 110).astype("uint8")
    Image.fromarray(gray).save(path)
    arguments = ["--run", str(run), "--out", str(out), "--seed", "7"]
    cli.main(["enlarge", str(path), *arguments])
    model, _ = load_run(run)
    image, visible = np.zeros((1, 12, 16, 1), "float32"), np.zeros((12, 16), bool)
    image[0, ::2, ::2, 0], visible[::2, ::2] = small_image, True
    expected = model.complete(image, visible, num_samples=8, seed=7)[0]
    for i, answer in enumerate(expected, start=1):
        found = np.asarray(Image.open(out / f"{i:02}.png"))
        np.testing.assert_array_equal(found, 255 * answer[..., 0])


@pytest.mark.parametrize(("factor", "least"), [(2, 0.8), (4, 0.4)])
def test_the_model_in_the_package_enlarges_digits(factor, least, tmp_path):
    mnist, judge = data.load("mnist"), load_pretrained("classifier_binarized_mnist")
    digits = data.binarize(mnist.x_test[:5], seed=0)
    right = []
    for i, (digit, label) in enumerate(zip(digits, mnist.y_test, strict=False)):
        path, small_digit = tmp_path / f"{i}.png", digit[::factor, ::factor]
        Image.fromarray((255 * small_digit[..., 0]).astype("uint8")).save(path)
        cli.main(["enlarge", str(path), "--num-samples", "4"])
        out = tmp_path / f"{i}_enlarged"
        answers = [np.asarray(Image.open(out / f"0{k}.png")) for k in (1, 2, 3, 4)]
        answers = (np.stack(answers)[..., None] / 255).astype("float32")
        for answer in answers:
            np.testing.assert_array_equal(answer[::factor, ::factor], small_digit)
        right += list(judge.classify(answers) == label)
    assert np.mean(right) >= least


def test_colors_are_rounded_to_the_levels_of_the_model(monkeypatch, tmp_path):
    model = ImageTransformer(
        (8, 12, 3), 4, num_layers=1, num_heads=1, width=4, order="coarse_to_fine"
    )
    monkeypatch.setattr(enlarge, "load_model", lambda *_: model)
    colors = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype("uint8")
    path = tmp_path / "colors.png"
    Image.fromarray(colors).save(path)
    cli.main(["enlarge", str(path), "--run", "any", "--num-samples", "2"])
    for name in ("01.png", "02.png"):
        answer = np.asarray(Image.open(tmp_path / "colors_enlarged" / name))
        expected = 85 * np.rint(colors / 85.0)
        np.testing.assert_array_equal(answer[::2, ::2], expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["enlarge", "missing.png", "--run", "RUN"], "Expected a picture file"),
        (["enlarge", "FILE", "--run", "RUN", "--num-samples", "0"], "--num-samples"),
        (["enlarge", "FILE", "--run", "nowhere"], "nowhere"),
        (["enlarge", "FILE", "--run", "RASTER"], "order=raster, condition=None"),
        (["enlarge", "FILE", "--run", "CLASS"], "condition=class"),
        (["enlarge", "LARGE", "--run", "RUN"], "smaller than 16×12"),
        (["enlarge", "FILE", "--run", "RUN", "--out", "."], "already exists"),
    ],
)
def test_what_cannot_be_enlarged(run, tmp_path, arguments, words):
    places = {"RUN": run}
    for name, size in (("FILE", (3, 4)), ("LARGE", (12, 16))):
        places[name] = tmp_path / f"{name}.png"
        Image.fromarray(np.full(size, 9, "uint8")).save(places[name])
    if "RASTER" in arguments:
        places["RASTER"] = small.trained(tmp_path / "raster", "transformer")
    if "CLASS" in arguments:
        order = ["--order", "coarse_to_fine", "--condition", "class"]
        places["CLASS"] = small.trained(tmp_path / "class", "transformer", *order)
    with pytest.raises(SystemExit, match=words):
        cli.main([str(places.get(argument, argument)) for argument in arguments])
