"""The command line as a user runs it: separate processes, real run folders."""

import csv
import dataclasses
import functools
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import small
from conftest import on_tensorflow
from PIL import Image

from tfattn import data
from tfattn.cli import evaluate, generate, train
from tfattn.cli import main as cli
from tfattn.cli.options import OPTIONS
from tfattn.cli.parser import build_parser
from tfattn.cli.summary import full_training
from tfattn.cli.systems import SYSTEMS, completion, gan, likelihood, transformer
from tfattn.cli.train import check_run
from tfattn.data import avatars, masks, number_words, pictures
from tfattn.models import load_pretrained, pretrained_results
from tfattn.training import runs

pytestmark = on_tensorflow


def start(*arguments):
    """The command in a process of its own, with the log level of a user: none."""
    return subprocess.Popen(
        [sys.executable, "-m", "tfattn", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def smaller(model_class):
    """The class with a smaller default width."""
    made = functools.partial(model_class, width=8)
    made.ATTENTIONS = model_class.ATTENTIONS
    return made


few_digits = functools.partial(small.few_digits, num_train=128, num_test=128)


def history(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two epochs on the embedded digits, not interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    code, out, err = finish(
        start("train", "vae", "--data", "digits", "--epochs", 2, "--out", folder)
    )
    assert code == 0, err
    assert "epoch 2/2" in out and "22/22" in out and "95 % interval" in out
    assert err == ""  # no remarks of TensorFlow
    (folder.parent / "out.txt").write_text(out)
    return folder


@pytest.mark.slow
def test_summary_explains_the_number_and_names_files(run):
    out = (run.parent / "out.txt").read_text()
    summary = out.partition("\n\n")[2]
    result = json.loads((run / "metrics.json").read_text())
    words = " ".join(summary.split())
    nats = result["negative_elbo"]["value"]
    assert f"needs at most {nats:.1f} nats ({nats / np.log(2):.0f} bits)" in words
    independent = result["nats_of_independent_pixels"]
    assert f"how often each pixel is white needs {independent:.1f}" in words
    for path in run.glob("*.png"):
        assert f"{path}   " in summary
    assert f"tfattn generate {run} --seed 1 " in summary
    # In full: it had 2 epochs.
    assert f"tfattn train vae --data digits --out {run}_full " in summary


@pytest.mark.parametrize(
    "options",
    [
        ["gan", "--mixed-precision", "--attention", "none"],
        ["transformer", "--condition", "text", "--seed", "3"],
        ["completion", "--data", "digits", "--adversarial", "--gate"],
    ],
)
def test_full_training_is_the_same_but_for_its_epochs(options):
    parser = build_parser()
    short = vars(parser.parse_args(["train", *options, "--epochs", "1"]))
    full = vars(parser.parse_args(full_training(Path("runs/a b"), short)))
    assert full.pop("out") == Path("runs/a b_full") and short.pop("out") is None
    assert full.pop("epochs") > short.pop("epochs") == 1
    assert full == short


def test_nats_of_independent_pixels_by_hand():
    """Two pixels, white in 3 of 4 and in 1 of 4 training images."""
    images = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], "float32").reshape(4, 1, 2, 1)
    dataset = data.Dataset("hand", "hand", images, None, images[:2], None)
    expected = -(2 * np.log(3 / 4) + np.log(1 / 4) + np.log(3 / 4)) / 2
    assert likelihood.nats_of_independent_pixels(dataset) == pytest.approx(expected)


def test_nats_of_independent_levels_by_hand():
    """One pixel of three levels: 1, 2 and 0 of 3 images, each counted once more."""
    x_train = np.array([0.0, 0.5, 0.5], "float32").reshape(3, 1, 1, 1)
    x_test = np.array([0.5, 1.0], "float32").reshape(2, 1, 1, 1)
    dataset = data.Dataset("hand", "hand", x_train, None, x_test, None)
    expected = -(np.log(3 / 6) + np.log(1 / 6)) / 2
    found = likelihood.nats_of_independent_pixels(dataset, levels=3)
    assert found == pytest.approx(expected)


def test_pixels_are_told_what_becomes_of_them():
    x = np.array([0.2, 0.4, 0.6], "float32").reshape(3, 1, 1, 1)
    dataset = data.Dataset("hand", "hand", x, None, x, None)
    assert not likelihood.is_binary(dataset)
    assert likelihood.pixels_in_words(dataset, 256).startswith("256 levels")
    # To 0, 0.5 and 0.5: errors of 0.2, 0.1 and 0.1.
    error = 255 * np.sqrt((0.04 + 0.01 + 0.01) / 3)
    assert f"by {error:.1f} of them" in likelihood.pixels_in_words(dataset, 3)
    assert "drawn" in likelihood.pixels_in_words(dataset, 2)
    assert likelihood.is_binary(dataclasses.replace(dataset, x_train=np.round(x)))


@pytest.mark.slow
def test_run_folder_is_complete(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "attention.png",
        "config.json",
        "history.csv",
        "metrics.json",
        "model.keras",
        "samples.png",
        "trained_on.json",
    }
    result = json.loads((run / "metrics.json").read_text())
    assert result["data"] == "digits" and result["seed"] == 0
    assert result["versions"]["keras"] and "drawn once" in result["protocol"]
    assert result["negative_elbo"]["num_images"] == 297
    rows = history(run)
    assert list(rows[0]) == ["epoch", "kl", "loss", "reconstruction", "seconds"]
    assert [row["epoch"] for row in rows] == ["0", "1"]
    seconds = sum(float(row["seconds"]) for row in rows)
    assert result["training_seconds"] == round(seconds)
    for name in ("samples.png", "attention.png"):
        assert (run / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.ci
def test_killed_training_resumes_to_the_same_result(run, tmp_path):
    folder = tmp_path / "killed"
    arguments = ("train", "vae", "--data", "digits", "--epochs", 2, "--out", folder)
    process = start(*arguments)
    while not (folder / "checkpoint.keras").exists():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)  # into the second epoch
    process.kill()
    process.wait()
    assert not (folder / "model.keras").exists()

    again = [str(argument) for argument in arguments]
    with pytest.raises(SystemExit, match="already holds a run"):
        cli.main(again)
    with pytest.raises(SystemExit, match=r"epochs was 2, is 1$"):
        cli.main([*again, "--resume", "--epochs", "1"])
    with pytest.raises(SystemExit, match="attention was 'self', is 'module'"):
        cli.main([*again, "--resume", "--attention", "module"])

    code, out, err = finish(start(*arguments, "--resume"))
    assert code == 0, err
    assert "going on after epoch" in out
    whole, resumed = history(run), history(folder)
    assert [row["epoch"] for row in resumed] == ["0", "1"]
    np.testing.assert_allclose(
        [float(row["loss"]) for row in resumed],
        [float(row["loss"]) for row in whole],
        rtol=1e-4,
    )
    seconds = sum(float(row["seconds"]) for row in resumed)  # both parts
    result = json.loads((folder / "metrics.json").read_text())
    assert result["training_seconds"] == round(seconds)
    values = [
        json.loads((f / "metrics.json").read_text())["negative_elbo"]["value"]
        for f in (run, folder)
    ]
    np.testing.assert_allclose(*values, rtol=1e-4)


@pytest.mark.slow
def test_evaluate_and_sample(run, tmp_path):
    cli.main(
        [
            *("evaluate", str(run), "--num-samples", "4"),
            *("--subset-size", "20", "--subset-num-samples", "16"),
        ]
    )
    result = json.loads((run / "metrics.json").read_text())
    assert result["negative_log_likelihood_4"]["num_images"] == 297
    assert result["negative_log_likelihood_16"]["num_images"] == 20
    bound = result["negative_log_likelihood_4"]["value"]
    assert bound < result["negative_elbo"]["value"]
    out = tmp_path / "sheet.png"
    cli.main(["generate", str(run), "--num-images", "13", "--out", str(out)])
    first = out.read_bytes()
    cli.main(["generate", str(run), "--num-images", "13", "--out", str(out)])
    assert out.read_bytes() == first
    cli.main(
        ["generate", str(run), "--num-images", "13", "--seed", "1", "--out", str(out)]
    )
    assert out.read_bytes() != first


@pytest.mark.ci
def test_gan_goes_on_where_it_was_interrupted(tmp_path, monkeypatch, eagerly):
    epoch_figure = gan.GANSystem.epoch_figure
    small = smaller(gan.SelfAttentionGAN)
    monkeypatch.setattr(gan, "SelfAttentionGAN", small)

    def interrupted(system, model, epoch):
        raise KeyboardInterrupt  # after the checkpoint of the first epoch

    monkeypatch.setattr(data, "load", few_digits)
    arguments = ["train", "gan", "--data", "digits", "--epochs", "2", "--out"]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    cli.main([*arguments, str(whole)])
    monkeypatch.setattr(gan.GANSystem, "epoch_figure", interrupted)
    with pytest.raises(SystemExit, match="--resume goes on"):
        cli.main([*arguments, str(resumed)])
    assert len(history(resumed)) == 1
    monkeypatch.setattr(gan.GANSystem, "epoch_figure", epoch_figure)
    cli.main([*arguments, str(resumed), "--resume"])
    names = [
        *("epoch", "discriminator_loss", "generator_loss", "gamma_generator"),
        *("gamma_discriminator", "sigma_generator", "sigma_discriminator", "seconds"),
    ]
    assert list(history(whole)[0]) == names
    for one, other in zip(history(whole), history(resumed), strict=True):
        for name in names[:-1]:
            np.testing.assert_allclose(float(one[name]), float(other[name]), rtol=1e-3)
    for name in ("samples.png", "attention.png", "samples/epoch_002.png"):
        assert (whole / name).read_bytes()[:4] == b"\x89PNG"
    result = json.loads((whole / "metrics.json").read_text())
    assert "no classifier for this data set" in result["protocol"]
    out = tmp_path / "sheet.png"
    cli.main(["generate", str(whole), "--num-images", "13", "--out", str(out)])
    assert out.exists()


def test_mixed_precision_is_the_models_alone():
    digits = data.load("digits")
    for name, options in (
        ("gan", {"attention": "self"}),
        ("transformer", {"condition": "none", "order": "raster"}),
    ):
        model = SYSTEMS[name].build(digits, seed=0, mixed_precision=True, **options)
        computed = (
            [
                network.get_layer("attention")
                for network in (model.generator, model.discriminator)
            ]
            if name == "gan"
            else model.network.decoder_layers
        )
        assert {layer.compute_dtype for layer in computed} == {"bfloat16"}
        assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "order"),
    [
        ("none", "raster"),
        pytest.param("class", "raster", marks=pytest.mark.ci),
        pytest.param("text", "coarse_to_fine", marks=pytest.mark.ci),
    ],
)
def test_transformer(condition, order, tmp_path, monkeypatch):
    monkeypatch.setattr(transformer, "NUM_TRAINING_PAIRS", 128)
    monkeypatch.setattr(number_words, "NUM_TEST_PAIRS", 20)
    small = functools.partial(transformer.ImageTransformer, num_layers=1)
    monkeypatch.setattr(transformer, "ImageTransformer", small)
    monkeypatch.setattr(data, "load", few_digits)
    out = tmp_path / "run"
    arguments = ["--data", "digits", "--condition", condition, "--order", order]
    arguments += ["--epochs", "1", "--out", str(out)]
    cli.main(["train", "transformer", *arguments])
    result = json.loads((out / "metrics.json").read_text())
    nats = result["negative_log_likelihood"]["value"]
    num_pixels = 12 * 32 if condition == "text" else 12 * 16
    # An image of which nothing is known has log 2 nats per pixel.
    assert 0.1 * num_pixels < nats < 2 * num_pixels * np.log(2)
    bits = result["bits_per_dimension"]
    assert bits == pytest.approx(nats / np.log(2) / num_pixels)
    assert ("20 of 100 held" in result["protocol"]) == (condition == "text")
    pictures = ("samples", "attention", "completions", "samples/epoch_001")
    for name in pictures:
        assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    cli.main(["evaluate", str(out)])
    assert json.loads((out / "metrics.json").read_text()) == result
    cli.main(["generate", str(out), "--num-images", "3"])
    assert (out / "samples_seed0.png").exists()


@pytest.mark.parametrize("condition", ["class", "text"])
def test_each_row_of_a_sheet_is_drawn_for_what_stands_beside_it(condition, monkeypatch):
    model = SYSTEMS["transformer"].build(
        few_digits("digits"),
        seed=0,
        condition=condition,
        order="raster",
        mixed_precision=False,
    )
    h, w, _ = model.image_shape

    def shades(n, conditions, seed):
        """The images of a condition have a shade of its own."""
        assert len(conditions) == n
        levels = [named.index(str(condition)) / 4 for condition in conditions]
        return np.full((n, h, w, 1), np.reshape(levels, (n, 1, 1, 1)))

    named = [str(condition) for condition in transformer._conditions(model, 3)]
    monkeypatch.setattr(model, "generate", shades)
    (axes,) = transformer._sheet(model, 3, 2, "t").axes
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == named and len(set(named)) == 3
    sheet = axes.images[0].get_array()
    for row, middle in enumerate(axes.get_yticks()):
        assert np.unique(sheet[int(middle)]).tolist() == [row / 4, 1]  # and the gap


def test_conditions_need_labels():
    without = dataclasses.replace(few_digits("digits"), y_train=None)
    with pytest.raises(ValueError, match="a class for each image"):
        SYSTEMS["transformer"].build(
            without, seed=0, condition="class", order="raster", mixed_precision=False
        )


def test_flow_of_sentences(monkeypatch):
    """Trained on what the attributes say; sampled from others, or from one given."""
    x, y = avatars.draw(200, seed=0)
    dataset = data.Dataset("avatars", "made by hand", x, y, x, y)
    options = {"seed": 0, "attention": "none", "mixed_precision": False}
    options["completes"] = False
    system = SYSTEMS["flow"]
    model = system.build(dataset, condition="text", **options)
    images, texts = system.training_arrays(dataset, model)
    assert images is x and texts.tolist() == avatars.sentences(y).tolist()
    given = []
    monkeypatch.setattr(model, "generate", lambda n, texts, **_: given.append(texts))
    system.generate(model, 3, seed=1)
    system.generate(model, 3, seed=1, condition="red hair")
    system.sample(model, 3, None, seed=1)
    assert len(set(given[0])) == 3 and given[1].tolist() == ["red hair"] * 3
    assert given[2].tolist() == given[0].tolist()
    for texts in given:
        model._checked_condition(texts, 3)  # all words are known
    asked = system.avatars_asked_for(model, 3, seed=1)
    assert avatars.sentences(asked).tolist() == given[0].tolist()
    with pytest.raises(ValueError, match="--data avatars for --condition text"):
        system.build(few_digits("digits"), condition="text", **options)


class Recorder(keras.callbacks.Callback):
    """In the place of Keras's callback for TensorBoard, which needs that package."""

    made = ()

    def __init__(self, folder, **_):
        super().__init__()
        self.folder, self.epochs = folder, []
        Recorder.made = (*Recorder.made, self)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, sorted(logs)))


@pytest.fixture
def installed(monkeypatch):
    """Packages that seem to be installed, or not, whatever is."""
    found = {}
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: found[name] if name in found else find(name, *a),
    )
    return found


def test_tensorboard_has_to_be_installed(tmp_path, installed):
    installed["tensorboard"] = None
    out = tmp_path / "run"
    with pytest.raises(SystemExit, match="pip install tensorboard"):
        cli.main(["train", "vae", "--tensorboard", "--out", str(out)])
    assert not out.exists()


@pytest.mark.ci
@pytest.mark.parametrize("binarize", [False, True])
def test_classifier(tmp_path, binarize, capsys, installed, monkeypatch):
    installed["tensorboard"] = "somewhere"
    monkeypatch.setattr(keras.callbacks, "TensorBoard", Recorder)
    monkeypatch.setattr(Recorder, "made", ())
    out = tmp_path / "run"
    options = ["--epochs", "6", "--out", str(out)] + ["--binarize"] * binarize
    options += ["--tensorboard"]
    arguments = ["train", "classifier", "--data", "digits", *options]
    cli.main(arguments)
    result = json.loads((out / "metrics.json").read_text())
    assert result["accuracy"] > 0.8 and (out / "errors.png").exists()
    (written,) = Recorder.made
    assert written.folder == out / "tensorboard"
    assert [epoch for epoch, _ in written.epochs] == list(range(6))
    assert {"loss", "accuracy"} <= set(written.epochs[0][1])
    assert ("binarization" in result["protocol"]) == binarize
    cli.main(["evaluate", str(out)])
    assert json.loads((out / "metrics.json").read_text()) == result
    with pytest.raises(SystemExit, match="draws no images"):
        cli.main(["generate", str(out)])

    # A finished run is measured again, and not trained.
    capsys.readouterr()
    before = (out / "model.keras").stat().st_mtime_ns
    cli.main([*arguments, "--resume"])
    words = capsys.readouterr().out
    assert "training had finished" in words and "step/s" not in words
    assert (out / "model.keras").stat().st_mtime_ns == before
    assert json.loads((out / "metrics.json").read_text())["accuracy"] > 0.8


def small_completion(monkeypatch):
    """A completion model and epochs that take seconds."""
    monkeypatch.setattr(completion, "EPOCH_SIZE", 32)
    monkeypatch.setattr(completion, "NUM_SAMPLES", 3)
    small = smaller(completion.CompletionVAE)
    monkeypatch.setattr(completion, "CompletionVAE", small)


@pytest.mark.ci
def test_completion(tmp_path, monkeypatch, eagerly):
    """Faces of 25×25 pixels, which no network is needed for."""
    small_completion(monkeypatch)
    out = tmp_path / "run"
    arguments = ["--data", "faces", "--epochs", "1", "--attention", "self"]
    cli.main(["train", "completion", *arguments, "--out", str(out)])
    result = json.loads((out / "metrics.json").read_text())
    assert "20 test images;" in result["protocol"]
    for mask in ("lower_half", "center", "strokes"):
        found = result["completion"][mask]
        assert found["psnr"]["num_images"] == 20
        assert 5 < found["psnr"]["value"] < found["psnr_of_all"]["value"] < 40
        assert found["psnr_of_one"]["value"] <= found["best_psnr"]["value"]
        assert 3 < found["bits_per_hidden_pixel"]["value"] < 12
    rows = history(out)
    assert {"kl", "reconstruction", "gamma_decoder", "gamma_prior"} <= set(rows[0])
    for name in ("samples", "samples_center", "samples_strokes", "attention"):
        assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    cli.main(["evaluate", str(out), "--num-samples", "4"])
    evaluated = json.loads((out / "metrics.json").read_text())
    bound = evaluated.pop("bits_per_hidden_pixel_4")
    assert evaluated == result and bound["num_images"] == 20
    with pytest.raises(SystemExit, match="tfattn complete IMAGE"):
        cli.main(["generate", str(out)])


@pytest.mark.ci
def test_adversarial_completion_goes_on(tmp_path, monkeypatch, eagerly):
    small_completion(monkeypatch)
    monkeypatch.setattr(completion, "NUM_TEST_IMAGES", 8)
    system = completion.CompletionSystem
    monkeypatch.setattr(system, "draw", lambda *arguments: None)
    few = functools.partial(few_digits, num_train=64, num_test=64)
    monkeypatch.setattr(data, "load", few)
    options = ["--data", "digits", "--adversarial", "--gate", "--epochs", "2", "--out"]
    arguments = ["train", "completion", *options]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    cli.main([*arguments, str(whole)])

    def interrupted(system, model, epoch):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(system, "epoch_figure", interrupted)
        with pytest.raises(SystemExit, match="--resume goes on"):
            cli.main([*arguments, str(resumed)])
    cli.main([*arguments, str(resumed), "--resume"])
    assert "discriminator_loss" in history(whole)[0]
    for one, other in zip(history(whole), history(resumed), strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(float(one[name]), float(other[name]), rtol=1e-3)


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """A picture in colors, larger than any model takes."""
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    levels = np.kron(data.load("faces").x_test[0, ..., 0], np.ones((8, 6)))
    Image.fromarray((255 * np.stack([levels] * 3, -1)).astype("uint8")).save(path)
    return path


def test_complete(face, capsys):
    arguments = ["complete", str(face), "--mask", "center", "--num-samples", "3"]
    cli.main(arguments)
    out = face.parent / "face_completed"
    words = capsys.readouterr().out
    assert "150×200 pixels, RGB" in words and "resized to 64×64, made gray" in words
    assert {p.name for p in out.iterdir()} == {
        *("sheet.png", "01.png", "02.png", "03.png")
    }
    model = load_pretrained("completion_olivetti")
    image, _ = pictures.read_picture(face, model.image_shape)
    visible = masks.draw("center", 1, (64, 64))
    expected = model.complete(image[None], visible, num_samples=3, seed=0)[0]
    for k in range(3):
        found, _ = pictures.read_picture(out / f"0{k + 1}.png", model.image_shape)
        np.testing.assert_allclose(found, expected[k], atol=0.5 / 255 + 1e-4)
        np.testing.assert_array_equal(found[visible[0]], image[visible[0]])
    before = (out / "sheet.png").read_bytes()
    with pytest.raises(SystemExit, match="already exists"):
        cli.main([*arguments, "--seed", "1"])
    assert (out / "sheet.png").read_bytes() == before


def test_completions_are_pasted_into_the_picture(face, tmp_path, capsys):
    mask = tmp_path / "mask.png"
    levels = np.full((200, 150), 255, "uint8")
    levels[111:140, 60:95] = 0
    Image.fromarray(levels).save(mask)
    arguments = ["complete", str(face), "--mask", str(mask), "--num-samples", "2"]
    cli.main([*arguments, "--paste", "--out", str(tmp_path / "out")])
    assert "put back at 150×200 pixels" in capsys.readouterr().out
    before = np.asarray(Image.open(face))
    first, second = (np.asarray(Image.open(tmp_path / f"out/0{k}.png")) for k in (1, 2))
    for after in (first, second):
        np.testing.assert_array_equal(after[levels == 255], before[levels == 255])
    assert np.any(first != before) and np.any(first != second)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.png"], "picture file.*missing.png"),
        (["FACE", "--mask", "all"], "Expected --mask to be one of"),
        (["FACE", "--mask", "WHITE"], "all white"),
        (["FACE", "--num-samples", "0"], "--num-samples=0"),
        (["."], r"Expected a picture file. Received: \.$"),
        (["FACE", "--run", "nothing"], "finished run"),
    ],
)
def test_complete_refuses(arguments, words, face, tmp_path):
    white = tmp_path / "white.png"
    Image.fromarray(np.full((9, 9), 255, "uint8")).save(white)
    places = {"FACE": str(face), "WHITE": str(white)}
    arguments = [places.get(argument, argument) for argument in arguments]
    with pytest.raises(SystemExit, match=words):
        cli.main(["complete", *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


# Without "×", and without the name of the file.
@pytest.mark.parametrize("encoding", ["ascii", "cp932", "cp1252", "gbk"])
def test_every_terminal_gets_its_words(encoding, face, tmp_path, monkeypatch):
    picture = tmp_path / "脸 é.png"
    picture.write_bytes(face.read_bytes())
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    cli.main(["complete", str(picture), "--num-samples", "1"])
    terminal.flush()
    words = terminal.buffer.getvalue().decode(encoding)
    assert "pixels, RGB" in words and "mask: lower_half" in words
    assert (tmp_path / "脸 é_completed" / "01.png").exists()


def test_only_a_training_that_has_begun_goes_on(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    for module in (evaluate, generate):
        monkeypatch.setattr(module, "load_run", interrupted)
    for command in ("evaluate", "generate"):
        with pytest.raises(SystemExit, match=r"interrupted$"):
            cli.main([command, "run"])
    arguments = ["train", "vae", "--data", "digits", "--out", str(tmp_path / "run")]
    with monkeypatch.context() as context:
        context.setattr(data, "load", interrupted)
        with pytest.raises(SystemExit, match=r"interrupted$"):
            cli.main(arguments)
    vae = type(SYSTEMS["vae"])
    with monkeypatch.context() as context:
        context.setattr(train, "rehearse", interrupted)
        with pytest.raises(SystemExit, match=r"interrupted$"):
            cli.main(arguments)
    monkeypatch.setattr(train, "rehearse", lambda *_: None)
    for what in ("fit", "measure"):
        monkeypatch.setattr(vae, what, interrupted)
        with pytest.raises(SystemExit, match=r"interrupted; the same .* with --resume"):
            cli.main(arguments)
        monkeypatch.setattr(vae, "fit", lambda *_: [])
        arguments.append("--resume")


HELP = """
import contextlib, io, sys
from tfattn.__main__ import main
words = io.StringIO()
for command in sys.argv[1:]:
    sys.argv = ["tfattn", *command.split(), "--help"]
    with contextlib.redirect_stdout(words), contextlib.suppress(SystemExit):
        main()
print(words.getvalue())
print(sorted({"keras", "numpy", "tensorflow", "matplotlib"} & set(sys.modules)))
"""


def test_help_waits_for_no_backend():
    commands = ["", "train", "evaluate", "generate", "complete"]
    commands += ["enlarge", "describe"]
    commands += [f"train {name}" for name in SYSTEMS]
    result = subprocess.run(
        [sys.executable, "-c", HELP, *commands], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    for words in ("completes", "lower_half", "fashion_mnist", "(default: 20)"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ("raster", "transformer_mnist"),
        ("coarse_to_fine", "transformer_mnist_coarse_to_fine"),
    ],
)
def test_a_transformer_is_compared_with_that_of_its_order(order, name):
    result = {
        **pretrained_results(name),
        "order": order,
        "levels": 2,
        "image_shape": [28, 28, 1],
        "nats_of_independent_pixels": 206.0,
    }
    assert f" `{name}` in this package" in SYSTEMS["transformer"].in_words(result)


def test_every_option_has_a_system():
    assert list(OPTIONS) == list(SYSTEMS)
    for name, system in SYSTEMS.items():
        assert isinstance(system, type(OPTIONS[name]))
        assert system.epochs == system.recipe.epochs


def test_memory_of_a_gpu_is_said(monkeypatch, capsys):
    import tensorflow as tf

    dataset = few_digits("digits")
    monkeypatch.delenv(train.GROWTH, raising=False)
    train.print_start(dataset)
    assert train.GROWTH not in capsys.readouterr().out
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"])
    train.print_start(dataset)
    out = capsys.readouterr().out
    assert "device: 2 GPU and" in out and f"{train.GROWTH}=true" in out
    monkeypatch.setenv(train.GROWTH, "true")
    train.print_start(dataset)
    assert train.GROWTH not in capsys.readouterr().out


def test_a_run_knows_its_arguments_and_its_versions(tmp_path):
    run = tmp_path / "run"
    config = {"system": "vae", "epochs": 4, "seed": 0, "versions": {"keras": "3.12"}}
    check_run(run, config, False)
    with pytest.raises(ValueError, match="Expected a run to resume"):
        check_run(run, config, True)
    run.mkdir()
    runs.write_json(run / "config.json", config)
    assert check_run(run, config, True) == ""
    assert check_run(run, {**config, "epochs": 5}, True) == ""
    words = check_run(run, {**config, "versions": {"keras": "3.13"}}, True)
    assert words == "keras was '3.12', is '3.13'"
    for name, value in (("epochs", 3), ("seed", 1), ("another", 2)):
        with pytest.raises(ValueError, match=f"Different: {name} was"):
            check_run(run, {**config, name: value}, True)
    with pytest.raises(ValueError, match="already holds a run"):
        check_run(run, config, False)
    (run / "config.json").write_text("")
    with pytest.raises(ValueError, match="damaged"):
        check_run(run, config, True)


@pytest.mark.parametrize("content", ["", "[1]", "3", "{}", '{"system": "vae"}'])
def test_measures_that_are_none(content, tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / "metrics.json").write_text(content)
    for command in ("evaluate", "generate"):
        with pytest.raises(SystemExit, match=r"Expected .*metrics\.json"):
            cli.main([command, str(tmp_path)])


@pytest.mark.slow
def test_complete_needs_a_completion_model(run, face, tmp_path):
    with pytest.raises(SystemExit, match=r"run of a completion model.*AttentionVAE"):
        cli.main(
            ["complete", str(face), "--run", str(run), "--out", str(tmp_path / "out")]
        )


OFFLINE = """
import sys, socket
def refuse(*a, **k): raise OSError("no network")
socket.getaddrinfo = socket.create_connection = refuse
from tfattn.cli import main as cli
def train(system, name):
    cli.main(["train", system, "--data", name, "--out", sys.argv[1]])
try:
    train("completion", "olivetti")
except SystemExit as error:
    print(error)
train("gan", "fashion_mnist")
"""


@pytest.mark.slow
def test_a_set_that_is_not_available_is_never_replaced(tmp_path):
    """No prepared data, no cache, no network: one clear line in seconds, no run."""
    run = tmp_path / "run"
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE, run],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "TFATTN_OFFLINE": "",
            "TFDS_DATA_DIR": str(tmp_path / "tfds"),
            "SCIKIT_LEARN_DATA": str(tmp_path / "sklearn"),
            "TFATTN_CACHE": str(tmp_path / "cache"),
        },
        timeout=60,
    )
    assert result.returncode == 1
    lines = [out.splitlines()[-1] for out in (result.stdout, result.stderr)]
    for name, last in zip(("olivetti", "fashion_mnist"), lines, strict=True):
        assert last.startswith(f"tfattn: The data set '{name}' is not available")
        assert "need no network: mnist, digits, faces" in last
    assert not run.exists()


def test_default_data_set_is_the_first_one_offered():
    for name, system in SYSTEMS.items():
        assert build_parser().parse_args(["train", name]).data == system.data[0]
    assert SYSTEMS["vae"].data[0] == "mnist"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "vae", "--epochs", "0"], "`--epochs` to be an integer >= 1"),
        (["train", "vae", "--data", "faces"], "data sets of this system"),
        (["train", "gan", "--data", "digits", "--epochs", "-1"], "--epochs=-1"),
        (["train", "vae", "--data", "digits", "--resume"], "run to resume"),
        (["evaluate", "nothing"], "finished run with model.keras in nothing"),
        (["generate", "nothing"], "finished run"),
        (["generate", "nothing", "--num-images", "0"], "--num-images=0"),
        (["generate", "nothing", "--out", "file/a.png"], "Expected a folder.*file"),
        (
            ["generate", "nothing", "--out", "."],
            r"a file to write.*: \., a folder",
        ),
        (["evaluate", "nothing", "--num-samples", "0"], "--num-samples=0"),
        (["evaluate", "nothing", "--subset-size", "1"], "--subset-size=1"),
        (["evaluate", "nothing", "--subset-size", "-290"], "--subset-size=-290"),
        (["evaluate", "nothing", "--subset-num-samples", "0"], "num-samples=0"),
        (["train", "vae", "--data", "digits", "--out", "file"], r"exists: 'file'$"),
        (["train", "vae", "--data", "digits", "--out", "file/run"], "Not a directory"),
    ],
)
def test_bad_arguments(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=words):
        cli.main(arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"file"}
    assert (tmp_path / "file").read_bytes() == b""
