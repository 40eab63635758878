"""What would stop a training at its end stops it before it begins."""

import dataclasses
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
import small
from conftest import on_tensorflow

from tfattn import data
from tfattn.cli import main as cli
from tfattn.cli import rehearsal, train
from tfattn.cli.systems import SYSTEMS, completion, flow, vae
from tfattn.data import number_words
from tfattn.models import (
    CompletionVAE,
    ImageCaptioner,
    ImageClassifier,
    ImageTransformer,
)

pytestmark = on_tensorflow


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", small.few_digits)
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
    ("what", "words"), [("disk", "MiB of free space for .*run"), ("memory", "memory")]
)
def test_too_little_room_comes_before_the_training(
    what, words, arguments, tmp_path, monkeypatch
):
    if what == "disk":
        usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(os, "sysconf", lambda name: 10**3, raising=False)
    with pytest.raises(SystemExit, match=words):
        cli.main(arguments)
    assert list((tmp_path / "run").iterdir()) == []


def test_memory_by_hand(monkeypatch):
    """Of a classifier of 8×4 pixels: its weights, and what its five layers give."""
    model = ImageClassifier((8, 4, 1), num_classes=5, width=2, num_features=3)
    of_an_image = 2 * (8 * 4 * 2) + 2 * (4 * 2 * 4) + 3
    convolutions = 9 * (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4) + 2 + 2 + 4 + 4
    weights = convolutions + (8 * 3 + 3) + (3 * 5 + 5)
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == weights
    not_trained = sum(np.prod(w.shape) for w in model.non_trainable_weights)
    needed = 4 * (4 * weights + not_trained + 7 * of_an_image)
    for there, fits in ((needed, True), (needed - 1, False)):
        pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": there}
        monkeypatch.setattr(os, "sysconf", pages.get, raising=False)
        if fits:
            rehearsal.check_memory(model, batch_size=7)
            continue
        with pytest.raises(ValueError, match="7 images of 8×4×1 in a batch"):
            rehearsal.check_memory(model, batch_size=7)


def test_memory_of_half_precision_is_half(monkeypatch):
    model = ImageClassifier((8, 4, 1), width=2, num_features=3, dtype="mixed_float16")
    needed = []
    for batch_size in (0, 1000):
        for there in range(0, 10**6, 1000):
            pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": there}
            monkeypatch.setattr(os, "sysconf", pages.get, raising=False)
            try:
                rehearsal.check_memory(model, batch_size)
            except ValueError:
                continue
            needed.append(there)
            break
    of_an_image = 2 * (8 * 4 * 2) + 2 * (4 * 2 * 4) + 3
    assert needed[1] - needed[0] == pytest.approx(2 * 1000 * of_an_image, abs=1000)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_rehearsal_changes_nothing(name, tmp_path, capsys, monkeypatch):
    made = {
        "gan": "gan_by_class",
        "flow": "flow_completing_by_class",
        "transformer": "transformer_by_class",
    }.get(name, name)
    monkeypatch.setattr(completion, "NUM_SAMPLES", 2)
    monkeypatch.setattr(flow, "NUM_STEPS", 2)
    if name == "completion":  # whose measures need 11 pixels
        model = CompletionVAE((12, 16, 1), latent_dim=3, width=8, levels=2)
    elif name == "translator":  # of drawings
        model = ImageTransformer(
            (12, 16, 1),
            num_layers=1,
            width=8,
            condition="image",
            condition_channels=1,
            order="coarse_to_fine",
        )
    elif name == "captioner":  # of two digits
        words = number_words.WORDS
        model = ImageCaptioner(words, 2, (12, 32, 1), num_layers=1, width=8)
    else:
        model = small.MAKERS[made]()
    images = np.random.default_rng(0).integers(0, 2, (6, *model.image_shape))
    images, labels = images.astype("float32"), np.arange(6) % 3
    dataset = data.Dataset("mine", "made", images, labels, images[:4], labels[:4])
    if name == "captioner":  # it needs all ten digits
        dataset = small.few_digits()
    before = [np.array(v) for v in model.variables]
    generators = [random.getstate(), np.random.get_state()[1:3]]  # noqa: NPY002
    # As of a process that was killed.
    (tmp_path / rehearsal.FOLDER / "samples").mkdir(parents=True)
    rehearsal.rehearse(SYSTEMS[name], model, dataset, tmp_path, {"data": "mine"})
    assert list(tmp_path.iterdir()) == []
    for one, other in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    after = [random.getstate(), np.random.get_state()[1:3]]  # noqa: NPY002
    assert generators[0] == after[0]
    np.testing.assert_array_equal(generators[1][0], after[1][0])
    assert generators[1][1] == after[1][1]
    assert capsys.readouterr() == ("", "")


def test_the_training_is_that_without_a_rehearsal(arguments, tmp_path, monkeypatch):
    losses = []
    for rehearse in (rehearsal.rehearse, lambda *_: None):
        monkeypatch.setattr(train, "rehearse", rehearse)
        run = tmp_path / f"run_{len(losses)}"
        cli.main([*arguments[:-1], str(run)])
        losses.append((run / "history.csv").read_text().splitlines()[1].split(",")[:-1])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("there", [0, 500_000])
def test_room_on_the_disk_by_hand(there, tmp_path, monkeypatch):
    """What an old checkpoint takes becomes free; other files stay."""
    model = ImageClassifier((8, 4, 1), width=2, num_features=3)
    needed = 24 * model.count_params()
    (tmp_path / "checkpoint.keras").write_bytes(bytes(min(there, needed // 2)))
    (tmp_path / "samples.png").write_bytes(bytes(1000))
    usage = shutil.disk_usage(tmp_path)
    for free, fits in ((needed, True), (needed - 1, False)):
        free -= min(there, needed // 2)
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _, f=free: usage._replace(free=f)
        )
        if fits:
            rehearsal.check_disk(tmp_path, model)
            continue
        with pytest.raises(ValueError, match="MiB of free space"):
            rehearsal.check_disk(tmp_path, model)


def test_few_images_of_every_class():
    digits = small.few_digits()
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


def test_only_what_will_be_trained_is_rehearsed(arguments, monkeypatch):
    cli.main(arguments)
    monkeypatch.setattr(train, "rehearse", failing)
    cli.main([*arguments, "--resume"])
    with pytest.raises(SystemExit, match="a fault at the end"):
        cli.main([*arguments, "--epochs", "2", "--resume"])


def test_what_is_refused_late_leaves_the_run_as_it_was(arguments, tmp_path):
    """More epochs are asked for, but the history is damaged: the config stays."""
    cli.main(arguments)
    run = tmp_path / "run"
    (run / "history.csv").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(SystemExit, match=r"history\.csv.*damaged"):
        cli.main([*arguments, "--epochs", "2", "--resume"])
    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_a_folder_in_which_another_process_trains(arguments, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    program = "import sys, pathlib, time\n"
    program += "from tfattn.training.locks import lock\n"
    program += "lock(pathlib.Path(sys.argv[1])); print('held', flush=True)\n"
    program += "time.sleep(60)"
    other = subprocess.Popen(
        [sys.executable, "-c", program, run], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SystemExit, match="no other process to train"):
            cli.main(arguments)
        assert [path.name for path in run.iterdir()] == [".lock"]
    finally:
        other.kill()
        other.wait()
