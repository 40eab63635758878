"""`tfattn train --patience`: the same end, however often it is interrupted."""

import json

import numpy as np
import pytest
import small
from conftest import on_tensorflow
from PIL import Image

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli.early_stopping import hold_out, is_over
from tfattn.cli.systems import SYSTEMS, base, captioner
from tfattn.training.runs import _read_rows

pytestmark = on_tensorflow
HELD_OUT_LOSSES = [3.0, 2.0, 2.5, 2.6, 1.0, 0.5]


def dataset_of(x, y):
    return data.Dataset("mine", "made by hand", x, y, x[:2], y[:2])


@pytest.mark.parametrize(("n", "num_held_out"), [(20, 2), (40, 4), (57, 6)])
def test_a_tenth_is_held_out(n, num_held_out):
    y = np.arange(n)
    x = y[:, None, None, None] * np.ones((1, 2, 3, 1), "float32")
    parts = hold_out(dataset_of(x, y), seed=3)
    for part in parts:
        np.testing.assert_array_equal(part.x_train[:, 0, 0, 0], part.y_train)
        assert len(part.x_test) == 2
    rest, held_out = parts
    assert len(held_out.x_train) == num_held_out
    assert sorted([*rest.y_train, *held_out.y_train]) == [*range(n)]
    again, other = (hold_out(dataset_of(x, y), seed)[1] for seed in (3, 4))
    np.testing.assert_array_equal(again.y_train, held_out.y_train)
    assert [*other.y_train] != [*held_out.y_train] != [*range(num_held_out)]


def test_copies_are_held_out_together():
    """Whatever the seed, on one side; and the order does not matter."""
    kinds = np.arange(60) % 12
    x = kinds[:, None, None, None] * np.ones((1, 2, 3, 1), "float32")
    for seed in range(5):
        rest, held_out = hold_out(dataset_of(x, kinds), seed)
        assert not {*rest.y_train} & {*held_out.y_train}
        assert len(rest.y_train) + len(held_out.y_train) == 60
        turned = hold_out(dataset_of(x[::-1], kinds[::-1]), seed)[1]
        assert {*turned.y_train} == {*held_out.y_train}


@pytest.mark.parametrize("n", [2, 19, 30])
def test_too_few_images_to_hold_some_out(n):
    x = np.zeros((n, 2, 3, 1), "float32")  # 30, but all alike
    with pytest.raises(ValueError, match=f"at least 20 training images.*: {n}"):
        hold_out(dataset_of(x, np.arange(n)), 0)


def test_pairs_of_held_out_digits_are_of_no_digit_that_is_trained_on(monkeypatch):
    monkeypatch.setattr(captioner, "NUM_TRAINING_PAIRS", 300)
    monkeypatch.setattr(base, "LEAST_EXAMPLES", 450)
    digits, system = small.few_digits(num_train=600), SYSTEMS["captioner"]
    model = system.build(digits, seed=0, mixed_precision=False)
    batches, held_out = system.training(model, digits, 0, patience=2)
    assert len(batches.arrays[0]) == 300 and len(held_out[0]) == len(held_out[1]) == 450
    np.testing.assert_array_equal(held_out[0][300:], held_out[0][:150])
    halves = [
        {half.tobytes() for image in x for half in np.split(image, 2, axis=1)}
        for x in (batches.arrays[0], held_out[0])
    ]
    assert not halves[0] & halves[1]


@pytest.mark.parametrize(
    ("losses", "patience", "over"),
    [
        ([], 1, False),
        ([2.0], 1, False),
        ([2.0, 1.0], 1, False),
        ([1.0, 2.0], 1, True),
        ([1.0, 1.0], 1, True),
        ([1.0, 2.0], 2, False),
        ([3.0, 1.0, 2.0, 1.5], 2, True),
        ([3.0, 1.0, 2.0, 0.5], 2, False),
        ([1.0, 2.0, 3.0], None, False),
    ],
)
def test_when_it_is_over(losses, patience, over):
    assert is_over([{"val_loss": loss} for loss in losses], patience) == over


def train(run, *more, epochs=6, patience=2):
    arguments = ["--data", "digits", "--epochs", str(epochs), "--out", str(run)]
    cli.main(["train", "vae", *arguments, "--patience", str(patience), *more])


@pytest.mark.slow
def test_it_stops_and_stays_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "load", small.few_digits)
    losses = iter(HELD_OUT_LOSSES)
    # In the place of the loss that was measured.
    monkeypatch.setattr(
        type(SYSTEMS["vae"]),
        "epoch_measurements",
        lambda *_: {"val_loss": next(losses)},
    )
    run = tmp_path / "run"
    train(run)
    out = capsys.readouterr().out
    words = "held-out images: loss 2.6000, smallest 2.0000 in epoch 2; stopped"
    assert words in out and out.count("stopped") == 1
    assert len(_read_rows(run / "history.csv")) == 4
    result = json.loads((run / "metrics.json").read_text())
    assert (result["epochs"], result["epochs_trained"]) == (6, 4)
    train(run, "--resume")
    assert "training had finished" in capsys.readouterr().out
    # As if it had been killed after its last epoch, before its end.
    (run / "metrics.json").unlink()
    (run / "model.keras").rename(run / "checkpoint.keras")
    train(run, "--resume")
    assert len(_read_rows(run / "history.csv")) == 4
    assert (run / "model.keras").exists() and not (run / "checkpoint.keras").exists()
    again = json.loads((run / "metrics.json").read_text())
    assert again["negative_elbo"] == result["negative_elbo"]
    with pytest.raises(SystemExit, match="stopped early, after epoch 4"):
        train(run, "--resume", epochs=9)
    assert json.loads((run / "config.json").read_text())["epochs"] == 6


@pytest.mark.slow
def test_a_resumed_training_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", small.few_digits)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, epochs=3)
    stop = iter([False, True])

    def interrupt(*_):
        if next(stop, False):
            raise KeyboardInterrupt

    vae = type(SYSTEMS["vae"])
    monkeypatch.setattr(vae, "epoch_figure", interrupt)
    with pytest.raises(SystemExit, match="--resume"):
        train(parts, epochs=3)
    train(parts, "--resume", epochs=3)
    rows = [_read_rows(run / "history.csv") for run in (whole, parts)]
    assert len(rows[0]) == len(rows[1]) == 3
    for one, other in zip(*rows, strict=True):
        for name in ("loss", "val_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-6)
    # The held-out images are not among those that are trained on.
    trained = json.loads((whole / "trained_on.json").read_text())
    assert trained["examples"] == 180


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vae", "--patience", "0"], "`--patience` to be an integer >= 1"),
        (["completion", "--adversarial", "--patience", "2"], "no --patience"),
    ],
)
def test_bad_patience(arguments, words, tmp_path):
    with pytest.raises(SystemExit, match=words):
        cli.main(["train", *arguments, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_a_gan_has_no_patience(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "gan", "--patience", "2"])
    assert "--patience" in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_of_pictures_can_be_evaluated(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(30):
        levels = 255 * rng.integers(0, 2, (12, 12)).astype("uint8")
        Image.fromarray(levels).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(base, "EPOCH_SIZE", 60)
    run = tmp_path.parent / "run of pictures"
    of_folder = ["--image-size", "12", "--channels", "1", "--epochs", "1"]
    arguments = ["--data", str(tmp_path), *of_folder, "--patience", "1"]
    cli.main(["train", "vae", *arguments, "--out", str(run)])
    few = ["--num-samples", "2", "--subset-size", "2", "--subset-num-samples", "2"]
    cli.main(["evaluate", str(run), *few])
    assert "negative_log_likelihood_2" in json.loads((run / "metrics.json").read_text())
