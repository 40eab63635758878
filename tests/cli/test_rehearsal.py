"""What would stop a training at its end stops it before it begins."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import small
from conftest import on_tensorflow

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli import rehearsal, train
from tfattn.cli.systems import SYSTEMS, vae
from tfattn.models import ImageClassifier

pytestmark = on_tensorflow
GIB = 2**30


def few_digits(name="digits", load=data.load):
    digits = load("digits")
    return dataclasses.replace(
        digits,
        x_train=digits.x_train[:200, 8:20, 6:22],
        y_train=digits.y_train[:200],
        x_test=digits.x_test[:100, 8:20, 6:22],
        y_test=digits.y_test[:100],
    )


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", few_digits)
    run = str(tmp_path / "run")
    return ["train", "vae", "--data", "digits", "--epochs", "1", "--out", run]


def failing(*_):
    raise ValueError("a fault at the end")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("measure", failing),
        ("in_words", failing),
        ("draw", failing),
        ("measure", lambda *_: {"no number": np.float32(1)}),
    ],
)
def test_a_fault_at_the_end_comes_before_the_training(
    name, fault, arguments, tmp_path, monkeypatch
):
    monkeypatch.setattr(vae.VAESystem, name, fault)
    with pytest.raises((SystemExit, TypeError), match=r"fault at the end|float32"):
        cli.main(arguments)
    # No training, and no run that the same command would find in its way.
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("what", "words"), [("disk", "GiB of free space for .*run"), ("memory", "memory")]
)
def test_too_little_room_comes_before_the_training(
    what, words, arguments, tmp_path, monkeypatch
):
    if what == "disk":
        usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(os, "sysconf", lambda name: 10**3)
    with pytest.raises(SystemExit, match=words):
        cli.main(arguments)
    assert list((tmp_path / "run").iterdir()) == []


def test_memory_by_hand(monkeypatch):
    """Of a classifier of 8×4 pixels: its weights, and the outputs of ten layers."""
    model = ImageClassifier((8, 4, 1), num_classes=5, width=2, num_features=3)
    of_an_image = 8 * 4 + 2 * (8 * 4 * 2) + 4 * 2 * 2 + 2 * (4 * 2 * 4) + 3 * 8 + 3
    convolutions = 9 * (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4) + 2 + 2 + 4 + 4
    weights = convolutions + (8 * 3 + 3) + (3 * 5 + 5)
    draws = 2 * 2  # the state of the seeds of shifts and dropouts, not trained
    needed = 4 * (4 * weights + draws + 7 * of_an_image)
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == weights
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 1}.get)
    for there, fits in ((needed, True), (needed - 4 * 8, False)):
        pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": there}
        monkeypatch.setattr(os, "sysconf", pages.get)
        if fits:
            rehearsal.check_memory(model, batch_size=7)
            continue
        with pytest.raises(ValueError, match="batches of 7 images of"):
            rehearsal.check_memory(model, batch_size=7)


@pytest.mark.parametrize("name", ["vae", "gan", "flow", "classifier"])
def test_a_rehearsal_changes_nothing(name, capsys):
    made = {"gan": "gan_by_class", "flow": "flow_by_class"}.get(name, name)
    model = small.MAKERS[made]()
    images, labels = small.images(), np.arange(6) % 3
    dataset = data.Dataset("mine", "made", images, labels, images[:4], labels[:4])
    before = [np.array(v) for v in model.variables]
    draws = np.random.get_state()[1:3]  # noqa: NPY002 - the global generator
    size = rehearsal.rehearse(SYSTEMS[name], model, dataset, {"data": "mine"})
    assert 4 * model.count_params() < size < 4 * model.count_params() + 10**6
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    for one, other in zip(draws, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert capsys.readouterr() == ("", "")


def test_few_images_of_every_class():
    digits = few_digits()
    # None of the last class among the first images.
    order = np.argsort(digits.y_train, kind="stable")
    dataset = dataclasses.replace(
        digits, x_train=digits.x_train[order], y_train=digits.y_train[order]
    )
    few = rehearsal._first_images(dataset)
    assert len(few.x_train) == len(few.y_train) < 30
    assert set(few.y_train) == set(few.y_test) == set(range(10))
    for image, label in zip(few.x_train, few.y_train, strict=True):
        same = (dataset.x_train == image).all(axis=(1, 2, 3))
        assert label in dataset.y_train[same]
    without = dataclasses.replace(dataset, y_train=None, y_test=None)
    assert rehearsal._first_images(without).y_test is None


def test_a_finished_training_is_not_rehearsed(arguments, monkeypatch):
    cli.main(arguments)
    monkeypatch.setattr(train, "rehearse", failing)
    cli.main([*arguments, "--resume"])
