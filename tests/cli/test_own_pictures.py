"""The command on a folder of pictures: ten are enough to begin with."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest
import small as small_models
from conftest import on_tensorflow
from PIL import Image

import tfattn
from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli.parser import build_parser
from tfattn.cli.run_data import DATA_OPTIONS, load_data
from tfattn.cli.systems import (
    SYSTEMS,
    base,
    completion,
    flow,
    gan,
    transformer,
    translator,
    vae,
)
from tfattn.data import avatars
from tfattn.evaluation import FewImagesWarning
from tfattn.models import SelfAttentionGAN
from tfattn.training.runs import write_json

BACKEND = keras.backend.backend()


def pictures_of_avatars(place, n):
    """Avatars as pictures of several sizes, with hats and without."""
    images, attributes = avatars.draw(n, seed=0)
    for i, (image, has_hat) in enumerate(
        zip(images, attributes[:, avatars.NAMES.index("hat")] > 0, strict=True)
    ):
        kind = place / ("hat" if has_hat else "no hat")
        kind.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.rint(255 * image).astype("uint8"))
        picture.resize((40 + i, 32 + 2 * i)).save(kind / f"{i}.png")
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures_of_avatars(tmp_path_factory.mktemp("my pictures é"), 10)


@pytest.fixture
def small(monkeypatch):
    """Models and measurements that take seconds."""
    for module, name, arguments in (
        (vae, "AttentionVAE", {"width": 8}),
        (gan, "SelfAttentionGAN", {"width": 8}),
        (flow, "AttentionFlow", {"width": 8}),
        (completion, "CompletionVAE", {"width": 8}),
        (transformer, "ImageTransformer", {"width": 8, "num_layers": 1}),
        (translator, "ImageTransformer", {"width": 8, "num_layers": 1}),
    ):
        model_class = getattr(module, name)
        made = functools.partial(model_class, **arguments)
        if hasattr(model_class, "ATTENTIONS"):
            made.ATTENTIONS = model_class.ATTENTIONS
        monkeypatch.setattr(module, name, made)
    monkeypatch.setattr(base, "EPOCH_SIZE", 20)
    monkeypatch.setattr(completion, "EPOCH_SIZE", 20)
    monkeypatch.setattr(completion, "NUM_SAMPLES", 2)
    monkeypatch.setattr(flow, "NUM_STEPS", 2)


# Of each system: its options, the sides and channels, the classes, a number of
# metrics.json.
TRAININGS = {
    "vae": ([], 16, 3, "bits_per_dimension"),
    "gan": (["--labels", "folders", "--channels", "1"], 16, 1, "protocol"),
    "flow": (
        ["--labels", "folders", "--channels", "1", "--completes"],
        16,
        1,
        "protocol",
    ),
    "completion": ([], 12, 3, "completion"),
    "transformer": (["--channels", "1"], 8, 1, "bits_per_dimension"),
    "translator": (["--channels", "1"], 8, 1, "bits_per_dimension"),
    "classifier": (["--labels", "folders"], 16, 3, "accuracy"),
}


# Elsewhere: not what JAX compiles for long, and what torch cannot train.
SYSTEMS_HERE = {"jax": ["vae"], "torch": [name for name in TRAININGS if name != "gan"]}


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("system", SYSTEMS_HERE.get(BACKEND, TRAININGS))
def test_every_system_trains_on_a_folder(system, folder, small, tmp_path, capsys):
    options, size, channels, number = TRAININGS[system]
    run = tmp_path / "run"
    arguments = ["train", system, "--data", str(folder), "--image-size", str(size)]
    arguments += [*options, "--out", str(run), "--epochs"]
    cli.main([*arguments, "1"])
    out = capsys.readouterr().out
    assert "10 pictures of 40×32 to 49×50 pixels" in out
    trained_on = json.loads((run / "trained_on.json").read_text())
    num_pictures = trained_on["examples"]
    assert trained_on["repeats"] == round(20 / num_pictures) > 1
    result = json.loads((run / "metrics.json").read_text())
    assert result["data"] == str(folder) and result["image_size"] == size
    assert number in result
    cli.main([*arguments, "2", "--resume"])
    assert "going on after epoch 1" in capsys.readouterr().out
    cli.main(["evaluate", str(run), "--num-samples", "2", "--subset-num-samples", "2"])
    for path in run.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width > 50
    if system in ("vae", "gan", "flow", "transformer"):
        sheet = tmp_path / "sheet.png"
        cli.main(["generate", str(run), "--num-images", "3", "--out", str(sheet)])
        colors = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
        assert np.ptp(colors, axis=-1).max() > 0 or channels == 1
    completes = system in ("flow", "transformer")
    assert (run / "completions.png").exists() == completes
    if system in ("completion", "flow"):
        picture = next(folder.glob("*/*.png"))
        answers = tmp_path / "answers"
        cli.main(["complete", str(picture), "--run", str(run), "--out", str(answers)])
        assert Image.open(answers / "01.png").mode == {1: "L", 3: "RGB"}[channels]


@on_tensorflow
@pytest.mark.ci
def test_a_classifier_of_the_same_pictures_judges_a_gan(small, tmp_path):
    folder = pictures_of_avatars(tmp_path / "pictures", 80)
    arguments = ["--data", str(folder), "--image-size", "16", "--epochs", "1", "--out"]
    judge, run = tmp_path / "judge", tmp_path / "run"
    cli.main(["train", "classifier", "--labels", "folders", *arguments, str(judge)])
    cli.main(["train", "gan", *arguments, str(run)])
    with pytest.warns(FewImagesWarning):
        cli.main(["evaluate", str(run), "--features", str(judge)])
    result = json.loads((run / "metrics.json").read_text())
    assert result["frechet_distance"]["mean"] > 0
    assert result["real"]["frechet_distance"] > 0
    assert "recognized" not in result  # generated for no class
    with pytest.raises(SystemExit, match="run of a classifier"):
        cli.main(["evaluate", str(run), "--features", str(run)])


@pytest.fixture(scope="module")
def made_run(folder, tmp_path_factory):
    """A finished run of a GAN with the classes of the folder, not trained at all."""
    run = tmp_path_factory.mktemp("runs") / "made"
    run.mkdir()
    model = SelfAttentionGAN((16, 16, 3), latent_dim=4, num_classes=2, width=8)
    model.save(run / "model.keras")
    result = {"system": "gan", "data": str(folder), "seed": 0}
    result["class_names"] = ["hat", "no hat"]
    write_json(run / "metrics.json", result)
    return run, model


def generated(run, out, *arguments):
    cli.main(
        ["generate", str(run), "--num-images", "12", "--out", str(out), *arguments]
    )


def test_images_come_one_by_one_or_as_an_array(made_run, tmp_path):
    run, model = made_run
    expected = model.generate(12, np.arange(12) % 2, temperature=0.97, seed=3)
    generated(run, tmp_path / "a.npz", "--seed", "3")
    with np.load(tmp_path / "a.npz") as content:
        np.testing.assert_allclose(content["images"], expected, atol=1e-6)
    generated(run, tmp_path / "each", "--seed", "3", "--each")
    files = sorted((tmp_path / "each").iterdir())
    assert [path.name for path in files] == [f"{i:02}.png" for i in range(1, 13)]
    for path, image in zip(files, expected, strict=True):
        levels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(levels, np.rint(255 * image))
    with pytest.raises(SystemExit, match="already exists"):
        generated(run, tmp_path / "each", "--each")


def test_a_system_of_another_version_is_named(made_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(made_run[0], run)
    write_json(run / "metrics.json", {"system": "dreams", "data": "digits", "seed": 0})
    for command in ("evaluate", "generate"):
        with pytest.raises(SystemExit, match=r"Expected .*system.*dreams"):
            cli.main([command, str(run)])


def test_a_folder_of_images_is_whole_or_not_there(made_run, tmp_path, monkeypatch):
    """Half of it would stand in the way of the same command."""
    write, calls = Image.Image.save, []

    def full_disk(image, path, **options):
        calls.append(path)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        write(image, path, **options)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(SystemExit, match="No space left"):
        generated(made_run[0], tmp_path / "each", "--each")
    assert list(tmp_path.iterdir()) == []
    generated(made_run[0], tmp_path / "each", "--each")
    assert len(list((tmp_path / "each").iterdir())) == 12


@pytest.mark.parametrize(("condition", "label"), [("no hat", 1), ("hat", 0), ("1", 1)])
def test_images_of_one_class(made_run, tmp_path, condition, label):
    run, model = made_run
    expected = model.generate(12, [label] * 12, temperature=0.97, seed=0)
    generated(run, tmp_path / "a.npz", "--condition", condition)
    with np.load(tmp_path / "a.npz") as content:
        np.testing.assert_allclose(content["images"], expected, atol=1e-6)


@pytest.mark.parametrize("condition", ["2", "-1", "cap", ""])
def test_no_images_of_another_class(made_run, tmp_path, condition):
    with pytest.raises(SystemExit, match="from 0 to 1 or the name of its folder"):
        generated(made_run[0], tmp_path / "a.npz", "--condition", condition)
    assert not any(tmp_path.iterdir())


def test_texts_are_for_all_images():
    model = small_models.MAKERS["transformer_by_text"]()
    images = transformer.TransformerSystem().generate(model, 2, 0, "red blue")
    np.testing.assert_array_equal(images, model.generate(2, ["red blue"] * 2, seed=0))
    with pytest.raises(ValueError, match="no classes"):
        gan.GANSystem().generate(SelfAttentionGAN((8, 8, 1), width=8), 2, 0, "1")


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"tfattn {tfattn.__version__}\n"


def test_other_pictures_are_another_training(folder, small, tmp_path):
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in folder.glob("*/*.png"):
        (copied / path.name).write_bytes(path.read_bytes())
    run = tmp_path / "run"
    arguments = ["train", "vae", "--data", str(copied), "--out", str(run)]
    cli.main([*arguments, "--epochs", "1"])
    for changed in (["--image-size", "16"], ["--channels", "1"]):
        with pytest.raises(SystemExit, match="Different: "):
            cli.main([*arguments, *changed, "--epochs", "2", "--resume"])
    image, _ = avatars.draw(1, seed=7)
    Image.fromarray(np.rint(255 * image[0]).astype("uint8")).save(copied / "new.png")
    with pytest.raises(SystemExit, match=r"(examples|sha256_of_arrays) was"):
        cli.main([*arguments, "--epochs", "2", "--resume"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vae", "--data", "nowhere"], "folder of pictures or one of"),
        (["transformer", "--data", "olivetti"], "data sets of this system"),
        (["vae", "--data", "mnist", "--image-size", "32"], "for a folder of pictures"),
        (["vae", "--data", "FOLDER", "--image-size", "0"], "image_size"),
        (["vae", "--data", "FOLDER", "--image-size", "30"], "such as"),
        (["classifier", "--data", "FOLDER"], "--labels folders"),
        (["completion", "--data", "FOLDER", "--image-size", "8"], "at least 11"),
        (["vae", "--data", ""], "folder of pictures or one of"),
        (["vae", "--data", "FOLDER", "--labels", "folders"], "--condition class, or"),
        (["vae", "--data", "FOLDER", "--condition", "class"], "class for each image"),
        (
            ["completion", "--data", "FOLDER", "--labels", "folders"],
            "no use for classes",
        ),
        (["vae", "--data", "FOLDER", "--seed", "-1"], "--seed"),
        (
            ["transformer", "--data", "FOLDER", "--condition", "text"],
            "class for each image",
        ),
        (
            [
                "transformer",
                "--data",
                "FOLDER",
                "--labels",
                "folders",
                "--condition",
                "text",
            ],
            "words are those of digits",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments, words, folder, tmp_path):
    arguments = [str(folder) if word == "FOLDER" else word for word in arguments]
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match=words):
        cli.main(["train", *arguments, "--out", str(run)])
    assert not run.exists()


def test_too_few_pictures_are_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit, match="four different pictures"):
        cli.main(["train", "vae", "--data", str(tmp_path)])


def test_a_run_is_not_written_into_its_pictures(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit, match="--out outside of"):
        cli.main(["train", "vae", "--data", "."])
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_a_changed_folder_is_not_measured_with(folder, small, tmp_path):
    copied, run = tmp_path / "copied", tmp_path / "run"
    shutil.copytree(folder, copied)
    arguments = ["--data", str(copied), "--image-size", "16", "--labels", "folders"]
    cli.main(["train", "classifier", *arguments, "--epochs", "1", "--out", str(run)])
    assert json.loads((run / "metrics.json").read_text())["class_names"] == [
        "hat",
        "no hat",
    ]
    cli.main(["evaluate", str(run)])
    (copied / "hat").rename(copied / "z")
    with pytest.raises(SystemExit, match="sha256_of_arrays was"):
        cli.main(["evaluate", str(run)])
    (copied / "z").rename(copied / "hat")
    (copied / "damaged.png").write_text("no picture")
    with pytest.raises(SystemExit, match="in a folder of its class"):
        cli.main(["evaluate", str(run)])


def test_a_damaged_picture_is_named_in_one_line(folder, tmp_path, capsys, monkeypatch):
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    (copied / "damaged.png").write_text("no picture")
    load_data({"data": str(copied), "image_size": 8, "channels": 3, "labels": None})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("1 of the files") and "damaged.png" in line


def test_the_name_of_a_set_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    loaded = []
    monkeypatch.setattr(data, "load", lambda name: loaded.append(name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "vae", "--data", "digits"])
    assert loaded == ["digits"]
    with pytest.raises(SystemExit, match="at least one picture"):
        cli.main(["train", "vae", "--data", "./digits"])


def test_black_and_white_pictures_stay_so(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        levels = 255 * rng.integers(0, 2, (16, 16)).astype("uint8")
        Image.fromarray(levels).save(tmp_path / f"{i}.png")
    dataset = data.from_folder(tmp_path, 16, channels=1)
    model = vae.VAESystem().build(dataset, seed=0, attention="none", condition="none")
    assert model.levels == 2


SHAPES = {"olivetti": (64, 64, 1), "faces": (25, 25, 1), "avatars": (32, 32, 3)}
SHAPES["cifar10"] = SHAPES["avatars"]


@pytest.mark.ci
@pytest.mark.parametrize(
    ("system", "name"),
    [(system, name) for system in SYSTEMS for name in SYSTEMS[system].data],
)
def test_every_data_set_that_is_offered_can_be_trained_on(system, name):
    x = np.random.default_rng(0).random((10, *SHAPES.get(name, (28, 28, 1))), "float32")
    y = None if name in ("binarized_mnist", "faces") else np.arange(10)
    if name == "avatars":
        x, y = avatars.draw(10, seed=0)
    dataset = data.Dataset(name, "made by hand", x, y, x, y)
    arguments = vars(build_parser().parse_args(["train", system]))
    general = ("system", "epochs", "out", "resume", "tensorboard", "patience", "action")
    general += DATA_OPTIONS
    options = {k: v for k, v in arguments.items() if k not in general}
    model = SYSTEMS[system].build(dataset, **options)
    batches = SYSTEMS[system].batches(model, dataset, 0)
    SYSTEMS[system].recipe.compile(model, num_steps=10)
    model.run_eagerly = True  # a graph would take longer than its one step
    losses = model.train_on_batch(*batches[0], return_dict=True)
    assert losses and np.all(np.isfinite([*losses.values()]))
    h, w, c = x.shape[1:]
    of_pairs = system == "captioner" and name != "avatars"
    assert model.image_shape == (h, 2 * w if of_pairs else w, c)
    has_classes = system in ("gan", "flow", "classifier") and y is not None
    has_classes &= name != "avatars"
    assert model.num_classes == (10 if has_classes else None)
