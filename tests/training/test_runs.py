"""A training in a run folder: its order, its files, and how it is resumed."""

import csv
import errno
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfattn.training import RunFolder, ShuffledBatches, locks, runs

NUM_EXAMPLES, BATCH_SIZE, SEED = 17, 5, 3  # 3 batches, 2 examples are left out
EPOCHS = 3
pytestmark = pytest.mark.backend


def order_of(epoch):
    """The examples of an epoch, batch by batch, by a loop."""
    order = np.random.default_rng((SEED, epoch)).permutation(NUM_EXAMPLES)
    batches = []
    for start in (0, 5, 10):
        batches.append([int(i) for i in order[start : start + BATCH_SIZE]])
    return batches


class Note(keras.layers.Layer):
    """Passes examples on and notes them, step by step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x, training=None):
        if training:
            numbers = keras.ops.convert_to_numpy(x)[:, 0]
            self.seen.append([int(number) for number in numbers])
        return x


class Watch(keras.callbacks.Callback):
    """A callback as a user writes them."""

    def __init__(self):
        super().__init__()
        self.events = []

    def on_train_begin(self, logs=None):
        self.events.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append((epoch, logs["loss"]))
        logs["of_user"] = 10.0 * epoch


def small_batches():
    x = np.arange(NUM_EXAMPLES, dtype="float32")[:, None]
    return ShuffledBatches((x, np.sqrt(x)), BATCH_SIZE, SEED)


def train(path, *callbacks, epochs=EPOCHS):
    """One training of a tiny model, or what is left of it: the model and its folder."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1,)), Note(), keras.layers.Dense(1)])
    # Eagerly, a step can note its examples.
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    batches = small_batches()
    folder = RunFolder(path, batches)
    model.fit(
        batches,
        shuffle=False,
        initial_epoch=folder.restore(model),
        epochs=epochs,
        callbacks=[*callbacks, folder],
        verbose=0,
    )
    return model, folder


def history(path):
    with (path / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training without interruption."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    return path, *train(path)


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_order_is_that_of_a_loop(epoch):
    numbers = np.arange(NUM_EXAMPLES)
    images = np.arange(NUM_EXAMPLES, dtype="uint8")[:, None, None] * np.ones((2, 3))
    batches = ShuffledBatches((images, numbers), BATCH_SIZE, SEED)
    batches.set_epoch(epoch)
    assert len(batches) == 3
    for index in (2, 0, 1):  # in any order
        x, y = batches[index]
        expected = order_of(epoch)[index]
        assert y.tolist() == expected
        np.testing.assert_array_equal(x, images[expected])
        assert x.dtype == images.dtype


def test_a_batch_is_at_most_all_examples():
    batches = ShuffledBatches((np.arange(4),), batch_size=7)
    assert len(batches) == 1 and sorted(batches[0][0]) == [0, 1, 2, 3]


def test_fit_trains_on_the_batches_of_each_epoch(whole):
    _, model, _ = whole
    assert model.layers[0].seen == [b for e in range(EPOCHS) for b in order_of(e)]


def test_folder_of_a_finished_training(whole):
    path, model, folder = whole
    assert {p.name for p in path.iterdir()} == {
        *("trained_on.json", "history.csv", "model.keras")
    }
    rows = history(path)
    assert list(rows[0]) == ["epoch", "loss", "seconds"]
    assert [float(r["loss"]) for r in rows] == [r["loss"] for r in folder.rows]
    assert [float(r["loss"]) for r in rows] == model.history.history["loss"]


def test_callback_of_a_user(tmp_path, whole):
    """It sees each epoch of one `fit`, and what it adds to the logs is written."""
    watch = Watch()
    _, folder = train(tmp_path, watch)
    losses = [row["loss"] for row in whole[2].rows]
    np.testing.assert_allclose([row["loss"] for row in folder.rows], losses)
    assert watch.events == ["begin", *enumerate(r["loss"] for r in folder.rows)]
    assert [row["of_user"] for row in history(tmp_path)] == ["0.0", "10.0", "20.0"]


# First what it is trained on. Each epoch writes the history, then the checkpoint; the
# last file is the model.
@pytest.mark.parametrize("num_files", range(2 * EPOCHS + 2))
def test_killed_before_any_file_and_resumed(num_files, whole, tmp_path, monkeypatch):
    """At most the epoch that was under way is lost, and all ends the same."""
    write_whole, written = runs.write_whole, []

    def killed(path, write):
        if len(written) == num_files:
            raise KeyboardInterrupt
        write_whole(path, write)
        written.append(path)

    with monkeypatch.context() as context:
        context.setattr(runs, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    assert not (tmp_path / "model.keras").exists()
    watch = Watch()
    model, folder = train(tmp_path, watch)
    finished = max(num_files - 1, 0) // 2
    assert [event[0] for event in watch.events[1:]] == [*range(finished, EPOCHS)]
    remaining = range(finished, EPOCHS)
    assert model.layers[0].seen == [b for e in remaining for b in order_of(e)]
    _, other, expected = whole
    assert [row["epoch"] for row in folder.rows] == [*range(EPOCHS)]
    # The file has the same rows; a value that an epoch does not have is left out.
    for row, written in zip(folder.rows, history(tmp_path), strict=True):
        assert {k: float(v) for k, v in written.items() if v} == row
    np.testing.assert_allclose(
        [row["loss"] for row in folder.rows],
        [row["loss"] for row in expected.rows],
        rtol=1e-4,
    )
    for one, another in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-4)


def flipped(content):
    """One bit of the weights is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("name", ["model.keras", "checkpoint.keras", "history.csv"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\xff\xfe,\n1",
        flipped,
    ],
)
def test_a_damaged_state_is_named_and_kept(name, damage, tmp_path):
    """Beginning anew in silence would throw away what can perhaps be mended."""
    if name == "history.csv" and damage is flipped:
        pytest.skip("a number that is wrong is a number")
    train(tmp_path)
    path = tmp_path / name
    if name == "checkpoint.keras":
        (tmp_path / "model.keras").rename(path)
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"in .*{name} a training.*damaged") as error:
        train(tmp_path, epochs=EPOCHS + 1)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


def test_the_state_of_another_model_is_named(tmp_path):
    train(tmp_path)
    model = keras.Sequential([keras.Input((1,)), Note(), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    folder = RunFolder(tmp_path, small_batches())
    with pytest.raises(ValueError, match=r"model\.keras .*or of another model"):
        folder.restore(model)


def test_what_a_killed_process_has_half_written_is_removed(tmp_path):
    for name in (".7.checkpoint.keras", ".12.history.csv", ".345.model.keras"):
        (tmp_path / name).write_text("half")
    others = {".7.mine.txt", ".metrics.json", ".mine.model.keras", ".1.my.history.csv"}
    for name in others:
        (tmp_path / name).write_text("of somebody else")
    train(tmp_path)
    assert {path.name for path in tmp_path.glob(".*")} == others


def test_a_lock_around_a_training_stays(tmp_path):
    with locks.locked(tmp_path):
        train(tmp_path)
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_finished_training_is_not_trained_again(tmp_path):
    train(tmp_path)
    before = history(tmp_path)
    model, folder = train(tmp_path)
    assert model.layers[0].seen == [] and len(folder.rows) == EPOCHS
    assert history(tmp_path) == before


def test_a_finished_training_goes_on_with_more_epochs(whole, tmp_path):
    train(tmp_path, epochs=2)
    model, folder = train(tmp_path)
    assert model.layers[0].seen == order_of(2)
    assert [row["epoch"] for row in folder.rows] == [0, 1, 2]
    for one, other in zip(model.get_weights(), whole[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def changed(batches, what):
    """Batches that differ from `small_batches` in one thing."""
    (x, y), seed = batches.arrays, batches.seed
    if what == "one number":
        x = x + np.eye(1, len(x)).T
    elif what == "order":
        x, y = x[::-1], y[::-1]
    elif what == "fewer":
        x, y = x[:-1], y[:-1]
    elif what == "target":
        y = -y
    size = 4 if what == "batch size" else BATCH_SIZE
    return ShuffledBatches((x, y), size, seed + (what == "seed"))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("one number", r"sha256_of_arrays was '\w+', is '\w+'$"),
        ("order", r"Different: sha256"),
        ("target", r"Different: sha256"),
        ("fewer", r"examples was 17, is 16; sha256"),
        ("batch size", r"batch_size was 5, is 4; steps_per_epoch was 3, is 4"),
        ("seed", r"Different: seed was 3, is 4$"),
    ],
)
def test_another_training_is_refused(what, words, tmp_path):
    train(tmp_path, epochs=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=words):
        RunFolder(tmp_path, changed(small_batches(), what))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_another_backend_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    path = tmp_path / "trained_on.json"
    runs.write_json(path, {**runs.read_json(path), "backend": "another"})
    with pytest.raises(ValueError, match=r"Different: backend was 'another', is"):
        RunFolder(tmp_path, small_batches())
    path.write_text("{ ha")
    with pytest.raises(ValueError, match=r"JSON object in .*trained_on\.json.*damaged"):
        RunFolder(tmp_path, small_batches())


def test_texts_have_their_checksum():
    """Arrays of objects hold addresses, which another process does not have."""
    words = [np.array(["two", "six"], dtype) for dtype in (object, "U3")]
    for texts in words:
        same, other = texts.copy(), texts[::-1]
        found = [ShuffledBatches((t,), 1).description() for t in (texts, same, other)]
        assert found[0] == found[1] != found[2]
    copies = ["".join(["t", "wo"]), "".join(["s", "ix"])]
    description = ShuffledBatches((np.array(copies, object),), 1).description()
    assert description == ShuffledBatches((words[0],), 1).description()


def test_a_loss_that_is_lost_stops_the_training(tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                logs["loss"] = float("nan")

    with pytest.raises(ValueError, match=r"epoch 2.*nan.*up to epoch 1\."):
        train(tmp_path, Spoil())
    assert [row["epoch"] for row in history(tmp_path)] == ["0"]
    model, _ = train(tmp_path)  # without the fault it goes on
    assert model.layers[0].seen == order_of(1) + order_of(2)


FULL_DISK = """
import os, sys
import keras, numpy as np
from tfattn.training import RunFolder, ShuffledBatches
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(200000)])
model.compile("sgd", "mse")
batches = ShuffledBatches((np.ones((4, 1)), np.ones((4, 1))), 4)
try:
    model.fit(batches, shuffle=False, callbacks=[RunFolder(sys.argv[1], batches)])
except OSError as error:
    print("told:", error, sorted(os.listdir(sys.argv[1])))
"""


@pytest.mark.ci
def test_a_full_disk_is_an_error_and_no_crash(tmp_path):
    """A disk of 400 KiB: of memory, in a namespace of its own."""
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=400k tmpfs {tmp_path}"
    try:
        subprocess.run([*namespace, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a system where users may mount a tmpfs: {error}")
    train = f'{mount} && exec "$0" -c "$1" {tmp_path}'
    run = subprocess.run(
        [*namespace, train, sys.executable, FULL_DISK], capture_output=True, text=True
    )
    assert run.returncode == 0 and "told:" in run.stdout, run.stderr
    assert "['.lock', 'history.csv', 'trained_on.json']" in run.stdout


HOLDS = """
import pathlib, sys, time
from tfattn.training.locks import lock
lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    """The lock of a process ends with it, however it ends."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="no other process to train in"):
            train(tmp_path)
        assert not (tmp_path / "history.csv").exists()
    finally:
        other.kill()
        other.wait()
    train(tmp_path)
    assert history(tmp_path)
    assert not (tmp_path / ".lock").exists()


def test_a_process_may_train_again_after_an_interruption(tmp_path):
    locks.lock(tmp_path)  # of a `fit` that was interrupted
    train(tmp_path)
    assert not (tmp_path / ".lock").exists()


def test_without_locks_of_the_file_system_it_trains(tmp_path, monkeypatch):
    def none(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_acquire", none)
    train(tmp_path)
    assert history(tmp_path)


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def fail(part):
        part.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        runs.write_whole(path, fail)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
