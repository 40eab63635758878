"""`tfattn train captioner` and `tfattn describe`."""

import json

import numpy as np
import pytest
import small
from conftest import on_tensorflow
from PIL import Image

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli.systems import SYSTEMS, captioner
from tfattn.data import avatars, number_words
from tfattn.training.runs import load_run

pytestmark = on_tensorflow
SYSTEM = SYSTEMS["captioner"]


def few_avatars(n=80):
    x, y = avatars.draw(n, seed=0)
    x_test, y_test = avatars.draw(n, seed=1)
    return data.Dataset("avatars", "made by hand", x, y, x_test, y_test)


@pytest.fixture(autouse=True)
def few_pairs(monkeypatch):
    monkeypatch.setattr(captioner, "NUM_TRAINING_PAIRS", 128)
    monkeypatch.setattr(number_words, "NUM_TEST_PAIRS", 20)


def build(dataset):
    return SYSTEM.build(dataset, seed=0, mixed_precision=False)


def test_pairs_of_digits_and_their_names():
    digits = small.few_digits()
    model = build(digits)
    assert model.image_shape == (12, 32, 1)
    x, texts = SYSTEM.training_arrays(digits, model)
    assert x.shape == (128, 12, 32, 1) and texts.shape == (128,)
    trained = {tuple(text.split()) for text in texts}
    measured = {tuple(text.split()) for text in captioner._test_set(digits)[1]}
    assert not trained & measured
    # Each half is one of the digits that its word names.
    for half, place in ((x[:, :, :16], 0), (x[:, :, 16:], 1)):
        label = number_words.WORDS.index(texts[5].split()[place])
        same = np.all(digits.x_train == half[5], axis=(1, 2, 3))
        assert label in digits.y_train[same]


def test_avatars_and_their_sentences():
    dataset = few_avatars()
    model = build(dataset)
    assert model.image_shape == (32, 32, 3)
    x, texts = SYSTEM.training_arrays(dataset, model)
    np.testing.assert_array_equal(x, dataset.x_train)
    assert texts[3] == avatars.sentences(dataset.y_train)[3]
    model.tokenizer.tokenize(avatars.sentences(avatars.draw(300, seed=2)[1]))


def test_right_is_right_in_every_word(monkeypatch):
    dataset = few_avatars()
    model = build(dataset)
    texts = np.array([t.replace(",", "") for t in avatars.sentences(dataset.y_test)])
    written = texts.copy()
    # Of every fourth one a word in the middle is another; commas count for nothing.
    for i in range(0, len(written), 4):
        words = written[i].split()
        words[2] = "hat" if words[2] != "hat" else "hair"
        written[i] = " ".join(words)
    monkeypatch.setattr(
        model, "describe", lambda x: written[:, None] if len(x) == 80 else None
    )
    found = SYSTEM.measure(model, dataset)
    assert found["exact_match"]["value"] == pytest.approx(0.75)
    nats = -model.log_likelihood(dataset.x_test, texts).mean()
    assert found["negative_log_likelihood"]["value"] == pytest.approx(nats, rel=1e-5)
    assert "75.0% of 80 test images" in SYSTEM.in_words(found)


def test_other_data_has_no_texts(tmp_path, capsys):
    for other in ("fashion_mnist", str(tmp_path)):
        with pytest.raises(SystemExit, match="Expected --data to be one of"):
            cli.main(["train", "captioner", "--data", other])
    with pytest.raises(SystemExit):
        cli.main(["train", "captioner", "--help"])
    assert "folder" not in capsys.readouterr().out.replace("run folder", "")


def test_texts_and_maps_stand_beside_their_images(monkeypatch, tmp_path):
    digits = small.few_digits()
    model, drawn = build(digits), {}
    x = captioner._test_set(digits)[0][:8]
    texts = number_words.names_of([(i, 9 - i) for i in range(8)])
    monkeypatch.setattr(model, "describe", lambda _: texts[:, None])
    for name in ("image_grid", "weight_figure"):
        monkeypatch.setattr(
            captioner.plots, name, lambda *given, name=name: drawn.update({name: given})
        )
    monkeypatch.setattr(captioner, "write_figure", lambda *_: None)
    SYSTEM.draw(model, digits, tmp_path)
    images, names = drawn["image_grid"]
    np.testing.assert_array_equal(images[:, 0], x)
    assert names == list(texts)
    images, maps, names, _ = drawn["weight_figure"]
    np.testing.assert_array_equal(images, x[:4])
    expected = model.attention_maps(x[:4], texts[:4])
    for _ in ("layers", "heads"):
        expected = expected.mean(axis=1)
    np.testing.assert_allclose(maps, expected, rtol=1e-5)
    assert names == ["word 1", "word 2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captioner, "NUM_TRAINING_PAIRS", 128)
        patch.setattr(number_words, "NUM_TEST_PAIRS", 20)
        return small.trained(tmp_path_factory.mktemp("captioner") / "run", "captioner")


@pytest.mark.slow
def test_a_run(run, monkeypatch):
    result = json.loads((run / "metrics.json").read_text())
    model, _ = load_run(run)
    x, texts = captioner._test_set(small.few_digits())
    nats = -model.log_likelihood(x, texts).mean()
    assert result["negative_log_likelihood"]["value"] == pytest.approx(nats, rel=1e-5)
    assert 0 <= result["exact_match"]["value"] <= 1
    assert result["exact_match_of_the_most_frequent"] == pytest.approx(1 / 20)
    assert "20 of 100 held out" in result["protocol"]
    for name in ("samples", "attention"):
        assert (run / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(data, "load", small.few_digits)
    cli.main(["evaluate", str(run)])
    assert json.loads((run / "metrics.json").read_text()) == result


@pytest.mark.slow
def test_a_picture_in_words(run, tmp_path, capsys):
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((24, 64), 200, "uint8")).save(path)
    cli.main(["describe", str(path), "--run", str(run), "--num-texts", "5"])
    first, *rows = capsys.readouterr().out.splitlines()
    assert "64×24 pixels" in first and "resized to 32×12" in first
    shares, texts = zip(*(row.split("%   ") for row in rows), strict=True)
    shares = [float(share) for share in shares]
    assert len({*texts}) == 5 and shares == sorted(shares, reverse=True)
    model, _ = load_run(run)
    image = np.full((5, 12, 32, 1), 200 / 255, "float32")
    expected = 100 * np.exp(model.log_likelihood(image, texts))
    np.testing.assert_allclose(shares, expected, atol=0.051)
    for text in texts:
        assert {*text.split()} <= {*number_words.WORDS}
    cli.main(["describe", str(path), "--run", str(run)])
    assert capsys.readouterr().out.splitlines()[1].endswith(texts[0])


def test_the_model_in_the_package_describes_two_digits(tmp_path, capsys):
    mnist, path = data.load("mnist"), tmp_path / "picture.png"
    chosen = [np.flatnonzero(mnist.y_test == digit)[0] for digit in (7, 0)]
    image = np.concatenate(mnist.x_test[chosen], axis=1)[..., 0]
    Image.fromarray((255 * image).astype("uint8")).resize((280, 140)).save(path)
    cli.main(["describe", str(path), "--num-texts", "2"])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("%   seven zero") and not second.endswith("seven zero")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "missing.png", "--run", "RUN"], "Expected a picture file"),
        (["describe", "FILE", "--run", "RUN", "--num-texts", "0"], "`--num-texts`"),
        (["describe", "FILE", "--run", "RUN", "--num-texts", "200"], "at most 110"),
        (["describe", "FILE", "--run", "nowhere"], "nowhere"),
        (["generate", "RUN"], "A captioner writes texts"),
        (["complete", "FILE", "--run", "RUN"], "completion model or of a flow"),
    ],
)
def test_what_cannot_be_described(run, tmp_path, arguments, words):
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((12, 32), 9, "uint8")).save(path)
    places = {"RUN": str(run), "FILE": str(path)}
    with pytest.raises(SystemExit, match=words):
        cli.main([places.get(argument, argument) for argument in arguments])
