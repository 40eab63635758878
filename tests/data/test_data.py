"""Data sets: known facts, the cache and its damage, and life without a network."""

import contextlib
import hashlib
import http.server
import json
import os
import pickle
import socket
import sys
import threading
import time
import types
import warnings
from base64 import urlsafe_b64encode
from pathlib import Path

import numpy as np
import pytest
from conftest import real, run_python

from tfattn import data
from tfattn.data import avatars, sources

# Sets that may be missing here; the tests download nothing.
NOT_EMBEDDED = [
    pytest.param(name, marks=pytest.mark.real_data)
    for name in ("fashion_mnist", "binarized_mnist", "cifar10", "olivetti")
]
EXPECTED = {  # name: (image shape, train, test, labels)
    "mnist": ((28, 28, 1), 60_000, 10_000, range(10)),
    "fashion_mnist": ((28, 28, 1), 60_000, 10_000, range(10)),
    "binarized_mnist": ((28, 28, 1), 50_000, 10_000, None),
    "cifar10": ((32, 32, 3), 50_000, 10_000, range(10)),
    "olivetti": ((64, 64, 1), 300, 100, range(40)),
    "digits": ((28, 28, 1), 1_500, 297, range(10)),
    "faces": ((25, 25, 1), 80, 20, None),
    "avatars": ((32, 32, 3), 20_000, 5_000, range(6)),
}
# Of the bytes of all test images.
AVATARS_SHA256 = "a9d832deae9f5dbdb9b1e9696d5ffcdf793d210ad0bfaae19cdec5588d99db8f"
# Of the bytes of all training images, all their labels, and the test set's alike, as
# tensorflow-datasets 4.9.10 returns them (images uint8, labels int64).
MNIST_SHA256 = "83e5e0419030bfb1b5fbe3a2bae2c8bce61f7775de49c0f2d2e13601a0239e52"


@pytest.fixture(scope="session")
def loaded(tmp_path_factory):
    """Load each set at most once in a session."""
    folder = tmp_path_factory.mktemp("cache")
    sets = {}

    def get(name):
        if name not in sets:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TFATTN_CACHE", str(folder))
                sets[name] = real(name)
        return sets[name]

    get.folder = folder
    return get


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TFATTN_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """Replace every source by one small set, and count how often it is asked."""
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 3, 2), np.uint8)
    arrays = {
        "source": np.array("a small set"),
        "x_train": images,
        "y_train": np.arange(7),
        "x_test": images[::-1].copy(),
        "y_test": np.arange(7)[::-1].copy(),
    }
    calls = []

    def build(name, cached):
        calls.append(name)
        return arrays

    monkeypatch.setattr(data, "build", build)
    return calls


class FakeTfds(types.ModuleType):
    """The part of tensorflow-datasets that is used, with two images per split."""

    def __init__(self, data_dir):
        super().__init__("tensorflow_datasets")
        self.data_dir = data_dir
        self.prepared = False
        self.payload = b"original bytes"
        self.failures = []
        self.loaded = []
        self.maximum = 255

    def disable_progress_bar(self):
        pass

    def builder(self, name):
        url_info = types.SimpleNamespace(
            checksum=hashlib.sha256(self.payload).hexdigest()
        )
        return types.SimpleNamespace(
            name=name,
            version="1.2.3",
            data_path=self.data_dir / name / "1.2.3",
            url_infos={"https://images.invalid/train.gz": url_info},
            is_prepared=lambda: self.prepared,
        )

    def place_download(self, name, content):
        digest = hashlib.sha256(self.payload).digest()
        stem = "invalid_train" + urlsafe_b64encode(digest).decode().rstrip("=")
        path = self.data_dir / "downloads" / name / f"{stem}.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        path.with_name(path.name + ".INFO").write_text(json.dumps({}))
        return path

    def load(self, name, split, batch_size):
        assert batch_size == -1
        self.loaded.append(name)
        print(f"Downloading and preparing dataset to {self.data_dir}...")
        if self.failures:
            raise self.failures.pop(0)
        shape = (32, 32, 3) if name == "cifar10" else (28, 28, 1)
        images = np.zeros((2, *shape), np.uint8)
        images[1] = self.maximum
        labels = {"train": [3, 4], "test": [5, 6]}
        if name == "binarized_mnist":
            return [{"image": images} for _ in split]
        more = {"id": np.array([b"a", b"b"])} if name == "cifar10" else {}
        return [
            {"image": images, "label": np.array(labels[s], "int32"), **more}
            for s in split
        ]

    def as_numpy(self, content):
        return content


@pytest.fixture
def fake_tfds(tmp_path, monkeypatch):
    module = FakeTfds(tmp_path / "tfds")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return module


@pytest.fixture
def offline(monkeypatch):
    asked = []

    def why_unreachable(url):
        asked.append(url)
        return "no route to host"

    monkeypatch.setattr(sources, "_why_unreachable", why_unreachable)
    return asked


def assert_equal(a, b):
    assert (a.name, a.source) == (b.name, b.source)
    for key in ("x_train", "y_train", "x_test", "y_test"):
        left, right = getattr(a, key), getattr(b, key)
        if left is None or right is None:
            assert left is None and right is None
        else:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


# The sets


@pytest.mark.parametrize("name", [*data.EMBEDDED_NAMES, *NOT_EMBEDDED])
def test_set(loaded, monkeypatch, name):
    """Shapes, ranges and facts of each set; the second load needs no source."""
    image_shape, num_train, num_test, labels = EXPECTED[name]
    dataset = loaded(name)
    assert dataset.name == name
    assert dataset.source
    for x, y, num in (
        (dataset.x_train, dataset.y_train, num_train),
        (dataset.x_test, dataset.y_test, num_test),
    ):
        assert x.shape == (num, *image_shape)
        assert x.dtype == np.float32
        assert x.min() >= 0 and x.max() <= 1
        assert x.max() > 0.9  # not divided twice
        if labels is None:
            assert y is None
        else:
            assert len(y) == num
            assert y.dtype == np.int64
    if labels is not None:
        both = np.concatenate([dataset.y_train, dataset.y_test])
        assert set(both.ravel()) == set(labels)
    globals()[f"facts_of_{name}"](dataset)

    monkeypatch.setenv("TFATTN_CACHE", str(loaded.folder))
    monkeypatch.setattr(data, "build", lambda *_: pytest.fail("was not cached"))
    assert_equal(dataset, data.load(name))


def facts_of_avatars(dataset):
    both = np.concatenate([dataset.y_train, dataset.y_test])
    assert both.shape[1:] == (len(avatars.NAMES),)
    assert len(np.unique(both, axis=0)) == len(both)
    drawn = avatars.paint(avatars.by_name(dataset.y_train[-1000:]))
    np.testing.assert_array_equal(drawn, np.rint(255 * dataset.x_train[-1000:]))
    # A change of the drawing changes every number that was measured on it.
    digest = hashlib.sha256(np.rint(255 * dataset.x_test).astype("uint8").tobytes())
    assert digest.hexdigest() == AVATARS_SHA256


def facts_of_mnist(mnist):
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(np.bincount(mnist.y_train), train)
    np.testing.assert_array_equal(np.bincount(mnist.y_test), test)
    # The mean and deviation that everyone normalizes with.
    assert mnist.x_train.mean() == pytest.approx(0.1307, abs=1e-4)
    assert mnist.x_train.std() == pytest.approx(0.3081, abs=1e-4)
    # tensorflow-datasets keeps an order of its own; the original one begins 7 2 1 0 4.
    assert mnist.y_test[:5].tolist() == [2, 0, 4, 8, 7]
    check_labels_belong_to_their_images(mnist)


def facts_of_fashion_mnist(fashion):
    """The counts and the mean tell it from MNIST."""
    np.testing.assert_array_equal(np.bincount(fashion.y_train), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(fashion.y_test), [1000] * 10)
    assert fashion.x_train.mean() == pytest.approx(0.2860, abs=1e-4)
    check_labels_belong_to_their_images(fashion)


def facts_of_binarized_mnist(binarized):
    """It is the fixed binarization."""
    assert set(np.unique(binarized.x_train)) == {0.0, 1.0}
    assert set(np.unique(binarized.x_test)) == {0.0, 1.0}
    # One draw per pixel from MNIST's gray values keeps their mean.
    assert binarized.x_train.mean() == pytest.approx(0.1306, abs=1e-3)


def facts_of_cifar10(cifar10):
    np.testing.assert_array_equal(np.bincount(cifar10.y_train), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(cifar10.y_test), [1000] * 10)
    # The means of red, green and blue that everyone normalizes with.
    means = cifar10.x_train.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-3)


def facts_of_olivetti(olivetti):
    """People are in the training set or in the test set, never in both."""
    np.testing.assert_array_equal(np.bincount(olivetti.y_train), [10] * 30)
    np.testing.assert_array_equal(np.bincount(olivetti.y_test)[30:], [10] * 10)
    assert set(olivetti.y_train).isdisjoint(olivetti.y_test)
    # The nearest other image of a face is nearly always of the same person.
    images = olivetti.x_test.reshape(100, -1)
    distances = ((images[:, None] - images) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (olivetti.y_test[distances.argmin(axis=1)] == olivetti.y_test).mean() > 0.9
    check_face_is_upright(olivetti)


def facts_of_digits(digits):
    check_labels_belong_to_their_images(digits)


def facts_of_faces(faces):
    check_face_is_upright(faces)


def check_labels_belong_to_their_images(dataset):
    means = np.stack(
        [dataset.x_train[dataset.y_train == k].mean(axis=0).ravel() for k in range(10)]
    )
    images = dataset.x_test.reshape(len(dataset.x_test), -1)
    distances = (means**2).sum(axis=1) - 2 * images @ means.T
    # Chance is 0.1, also when the labels are shuffled against the images.
    assert (distances.argmin(axis=1) == dataset.y_test).mean() > 0.6


def check_face_is_upright(dataset):
    face = np.concatenate([dataset.x_train, dataset.x_test]).mean(axis=0)[..., 0]
    size = len(face)

    def likeness(other):
        return np.corrcoef(face.ravel(), other.ravel())[0, 1]

    # Left and right agree, so up is not sideways; eyes are dark, and above cheeks.
    assert likeness(face[:, ::-1]) > max(likeness(face[::-1]), likeness(face.T))
    column_of_the_left_eye = face[:, size // 4 : 5 * size // 12].mean(axis=1)
    inner = column_of_the_left_eye[size // 8 : -size // 8]
    assert size // 8 + np.argmin(inner) < size / 2


def test_repr_is_short(loaded):
    assert repr(loaded("faces")) == (
        "Dataset(name='faces', source='scikit-image lfw_subset (embedded)')"
    )


def sha256_of(arrays):
    digest = hashlib.sha256()
    for key, dtype in (
        *(("x_train", np.uint8), ("y_train", np.int64)),
        *(("x_test", np.uint8), ("y_test", np.int64)),
    ):
        assert arrays[key].dtype == dtype
        digest.update(arrays[key].tobytes())
    return digest.hexdigest()


def test_embedded_mnist_has_every_byte_in_order():
    assert sha256_of(sources.read_mnist()) == MNIST_SHA256


@pytest.mark.real_data
def test_embedded_mnist_is_that_of_tensorflow_datasets():
    try:
        theirs = sources.build("mnist", Path())
    except data.DataUnavailableError:
        pytest.skip(
            "needs MNIST in TFDS_DATA_DIR; download it once with: "
            "python .ci/load_data.py"
        )
    assert sha256_of(theirs) == MNIST_SHA256
    ours = sources.read_mnist()
    for key in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("damage", ["flipped bit", "another archive", "missing"])
def test_damaged_embedded_mnist_is_refused(damage, tmp_path, monkeypatch):
    path = tmp_path / "mnist.npz"
    monkeypatch.setattr(sources, "MNIST_FILE", path)
    if damage == "flipped bit":
        content = bytearray(Path(data.__file__).with_name("mnist.npz").read_bytes())
        content[5_000_000] ^= 1
        path.write_bytes(content)
    elif damage == "another archive":
        np.savez(path, **sources.build("digits", Path()))
    with pytest.raises(data.DataUnavailableError, match=r"mnist\.npz.*Install tfattn"):
        data.load("mnist")


@pytest.mark.network
@pytest.mark.parametrize(
    "name", ["fashion_mnist", "binarized_mnist", "cifar10", "olivetti"]
)
def test_download(name, tmp_path, monkeypatch):
    """From the original hosts into empty folders."""
    monkeypatch.delenv("TFATTN_OFFLINE")
    for variable in ("TFDS_DATA_DIR", "SCIKIT_LEARN_DATA", "TFATTN_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert data.load(name).x_train.shape[1:] == EXPECTED[name][0]


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_digits_are_upright(loaded, name):
    dataset = loaded(name)
    seven = dataset.x_train[dataset.y_train == 7].mean(axis=0)[..., 0]
    ink = seven > 0.25 * seven.max()
    seven = seven[np.ix_(ink.any(axis=1), ink.any(axis=0))]
    thirds = [
        [block.mean() for block in np.array_split(row, 3, axis=1)]
        for row in np.array_split(seven, 3, axis=0)
    ]
    drawn = np.array([[1, 1, 1], [0, 0, 1], [0, 1, 0]])
    turned = [np.rot90(d, k) for d in (drawn, drawn[:, ::-1]) for k in range(4)]
    scores = [np.corrcoef(np.ravel(thirds), t.ravel())[0, 1] for t in turned]
    assert np.argmax(scores) == 0


def test_digits_are_the_enlarged_originals(loaded):
    from sklearn.datasets import load_digits

    digits, original = loaded("digits"), load_digits()
    images = np.concatenate([digits.x_train, digits.x_test])[..., 0]
    labels = np.concatenate([digits.y_train, digits.y_test])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(original.target))
    # A quarter of the side is 7 of our pixels and 2 of theirs.
    ours = images.reshape(-1, 4, 7, 4, 7).mean(axis=(2, 4))
    theirs = original.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)) / 16
    for k in range(10):
        np.testing.assert_allclose(
            ours[labels == k].mean(axis=0),
            theirs[original.target == k].mean(axis=0),
            atol=0.06,
        )
    np.testing.assert_array_equal(np.rint(255 * images) / np.float32(255), images)
    # Enlarged smoothly: repeated pixels would make most neighbors equal.
    inked = images[:, :, :-1] > 0.1
    assert (np.diff(images, axis=2)[inked] == 0).mean() < 0.4


def test_split_of_the_digits_is_stratified_and_fixed(loaded):
    digits = loaded("digits")
    assert set(np.bincount(digits.y_test)) == {29, 30}
    assert digits.y_train[:12].tolist() == [4, 3, 1, 3, 9, 8, 1, 5, 5, 7, 4, 3]
    assert digits.y_test[:12].tolist() == [7, 3, 1, 3, 0, 3, 4, 7, 3, 5, 6, 6]


def test_faces_are_the_half_that_shows_faces(loaded):
    from skimage.data import lfw_subset

    faces = loaded("faces")
    both = np.concatenate([faces.x_train, faces.x_test])[..., 0]
    np.testing.assert_array_equal(both, lfw_subset()[:100].astype(np.float32))


# tensorflow-datasets, with a stand-in


@pytest.mark.parametrize(
    ("name", "maximum"),
    [("fashion_mnist", 255), ("binarized_mnist", 1), ("cifar10", 255)],
)
def test_scale_and_labels_of_prepared_sets(
    cache, fake_tfds, offline, name, maximum, capsys
):
    fake_tfds.prepared = True
    fake_tfds.maximum = maximum
    for _ in ("first", "cached"):
        dataset = data.load(name)
        assert dataset.source == f"tensorflow-datasets {name} 1.2.3"
        assert np.unique(dataset.x_train).tolist() == [0.0, 1.0]
        assert dataset.x_train.shape == (2, *EXPECTED[name][0])
        if name == "binarized_mnist":
            assert dataset.y_train is None and dataset.y_test is None
        else:
            assert dataset.y_test.dtype == np.int64
            assert dataset.y_train.tolist() == [3, 4]
            assert dataset.y_test.tolist() == [5, 6]
    assert fake_tfds.loaded == [name]
    assert not offline  # a prepared set asks no host
    printed = capsys.readouterr()
    assert not printed.out and "Downloading" in printed.err


@pytest.mark.parametrize("layout", ["fashion_mnist", ""])
def test_downloaded_files_are_prepared_without_network(
    cache, fake_tfds, offline, layout
):
    fake_tfds.place_download(layout, fake_tfds.payload)
    assert data.load("fashion_mnist").name == "fashion_mnist"
    assert not offline


@pytest.mark.parametrize("missing", ["", ".INFO"])
def test_file_and_info_file_belong_together(cache, fake_tfds, offline, missing):
    path = fake_tfds.place_download("fashion_mnist", fake_tfds.payload)
    path.with_name(path.name + missing).unlink()
    with pytest.raises(data.DataUnavailableError, match="cannot be reached"):
        data.load("fashion_mnist")
    assert offline == ["https://images.invalid/train.gz"]
    assert not fake_tfds.loaded


def test_damaged_download_is_named(cache, fake_tfds, offline):
    path = fake_tfds.place_download("fashion_mnist", b"damaged")
    with pytest.raises(data.DataUnavailableError, match="is damaged") as caught:
        data.load("fashion_mnist")
    assert str(path) in str(caught.value)
    assert not fake_tfds.loaded
    assert path.exists()  # it is not ours to delete


def test_missing_files_are_downloaded_when_the_host_answers(
    cache, fake_tfds, monkeypatch
):
    monkeypatch.setattr(sources, "_why_unreachable", lambda url: None)
    data.load("fashion_mnist")
    assert fake_tfds.loaded == ["fashion_mnist"]


@pytest.mark.parametrize(
    "failure", [ConnectionResetError("reset by peer"), RuntimeError("checksum")]
)
def test_broken_download_is_the_same_error(cache, fake_tfds, monkeypatch, failure):
    monkeypatch.setattr(sources, "_why_unreachable", lambda url: None)
    fake_tfds.failures = [failure]
    with pytest.raises(data.DataUnavailableError) as caught:
        data.load("fashion_mnist")
    assert f"{type(failure).__name__}: {failure}" in str(caught.value)
    assert caught.value.__cause__ is failure
    assert len(fake_tfds.loaded) == 1
    assert not cache.exists()


def test_second_of_two_processes_that_prepare_a_set(cache, fake_tfds, monkeypatch):
    class PreparedMeanwhile(OSError):
        def __init__(self):
            fake_tfds.prepared = True

    monkeypatch.setattr(sources, "_why_unreachable", lambda url: None)
    load = fake_tfds.load

    def load_while_another_prepares(*args, **kwargs):
        if not fake_tfds.prepared:
            raise PreparedMeanwhile
        return load(*args, **kwargs)

    monkeypatch.setattr(fake_tfds, "load", load_while_another_prepares)
    assert data.load("fashion_mnist").name == "fashion_mnist"


def test_another_process_is_waited_for(cache, fake_tfds, monkeypatch):
    monkeypatch.setattr(sources, "_why_unreachable", lambda url: None)
    fake_tfds.failures = [RuntimeError("NotFoundError: no such file")]
    (fake_tfds.data_dir / "fashion_mnist" / "incomplete.AB12_1.2.3").mkdir(parents=True)
    waited = []

    def finish_after_a_while(seconds):
        waited.append(seconds)
        fake_tfds.prepared = len(waited) == 3

    monkeypatch.setattr(sources.time, "sleep", finish_after_a_while)
    assert data.load("fashion_mnist").name == "fashion_mnist"
    assert len(waited) == 3 and len(fake_tfds.loaded) == 2


def test_another_process_is_not_waited_for_without_end(cache, fake_tfds, monkeypatch):
    monkeypatch.setattr(sources, "_why_unreachable", lambda url: None)
    monkeypatch.setattr(sources, "OTHERS_SECONDS", 0.3)
    fake_tfds.failures = [RuntimeError("disk full")]
    (fake_tfds.data_dir / "fashion_mnist" / "incomplete.AB12_1.2.3").mkdir(parents=True)
    with pytest.raises(data.DataUnavailableError, match="disk full"):
        data.load("fashion_mnist")


# The cache


def test_mnist_and_cached_sets_import_nothing_heavy(loaded):
    loaded("digits")
    result = run_python(
        """
        import sys
        heavy = ["tensorflow", "tensorflow_datasets", "sklearn", "skimage", "keras"]
        for package in heavy:
            sys.modules[package] = None  # importing it raises ImportError
        from tfattn import data
        print(len(data.load("mnist").x_train), data.load("digits").x_train.shape)
        """,
        TFATTN_CACHE=str(loaded.folder),
    )
    assert result.stdout.strip() == "60000 (1500, 28, 28, 1)", result.stderr
    assert result.stderr == ""


def test_images_are_cached_as_bytes(cache, tiny):
    data.load("digits")
    assert [path.name for path in cache.iterdir()] == ["digits.npz"]
    with np.load(cache / "digits.npz") as file:
        assert file["x_train"].dtype == np.uint8


def test_default_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TFATTN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert data._cache_folder() == tmp_path / ".cache" / "tfattn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data._cache_folder() == tmp_path / "xdg" / "tfattn"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data._cache_folder() == tmp_path / "local" / "tfattn"
    monkeypatch.setenv("TFATTN_CACHE", str(tmp_path / "own"))
    assert data._cache_folder() == tmp_path / "own"


def flip_a_pixel(path):
    content = bytearray(path.read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3, 2), np.uint8)
    content[content.index(pixels.tobytes()) + 100] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_a_label(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["y_train"][0] += 1
    np.savez(path, **arrays)


def drop_a_key(path):
    with np.load(path) as file:
        arrays = dict(file)
    del arrays["x_test"]
    np.savez(path, **arrays)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle in the cache was executed",))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "damage",
    [
        flip_a_pixel,
        truncate,
        change_a_label,
        drop_a_key,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: np.savez(path, other=np.zeros(3)),
        lambda path: np.savez(path, checksum=np.array(Trap(), dtype=object)),
        lambda path: path.write_bytes(pickle.dumps(Trap())),
    ],
    ids=lambda f: f.__name__ if f.__name__ != "<lambda>" else None,
)
def test_damaged_cache_is_named_and_rebuilt(cache, tiny, damage):
    first = data.load("digits")
    path = cache / "digits.npz"
    damage(path)
    with pytest.warns(data.CacheWarning, match="damaged") as caught:
        assert_equal(first, data.load("digits"))
    assert str(path) in str(caught[0].message)
    assert caught[0].filename == __file__  # it points at the caller
    assert len(tiny) == 2
    assert_equal(first, data.load("digits"))  # and now without a warning
    assert len(tiny) == 2


def test_no_flipped_byte_passes_unseen(cache, tiny):
    first = data.load("digits")
    path = cache / "digits.npz"
    intact = path.read_bytes()
    for position in range(0, len(intact), 7):
        content = bytearray(intact)
        content[position] ^= 0xFF
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_equal(first, data.load("digits"))


def test_file_of_another_set_is_not_taken(cache, tiny):
    data.load("digits")
    os.replace(cache / "digits.npz", cache / "faces.npz")
    with pytest.warns(data.CacheWarning, match="faces.npz"):
        data.load("faces")
    assert tiny == ["digits", "faces"]


def test_unwritable_cache_is_said_and_survived(tmp_path, monkeypatch, tiny):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TFATTN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(data.CacheWarning, match="file") as caught:
        assert data.load("digits").y_train.tolist() == list(range(7))
    assert "TFATTN_CACHE" in str(caught[-1].message)
    assert caught[-1].filename == __file__


def test_interrupted_writing_leaves_the_old_file(cache, tiny, monkeypatch):
    data.load("digits")
    path = cache / "digits.npz"
    truncate(path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.warns(data.CacheWarning), pytest.raises(KeyboardInterrupt):
        data.load("digits")
    assert path.read_bytes() == before
    assert [p.name for p in cache.iterdir()] == ["digits.npz"]


def test_full_disk_leaves_no_file(cache, tiny, monkeypatch):
    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(data.CacheWarning, match="No space left"):
        data.load("digits")
    assert list(cache.iterdir()) == []


def test_concurrent_writers_and_readers(cache):
    code = """
    import os, warnings
    import numpy as np
    from tfattn import data

    warnings.simplefilter("error")
    images = np.random.default_rng(0).integers(0, 256, (500, 28, 28, 1), np.uint8)
    arrays = {"source": np.array("s"), "x_train": images, "x_test": images}
    data.build = lambda name: arrays
    path = data._cache_folder() / "digits.npz"
    for _ in range(30):
        data._write_cache("digits", path, arrays)
        assert data.load("digits").x_test[-1, 0, 0, 0] == images[-1, 0, 0, 0] / np.float32(255)
    """  # noqa: E501
    results = []
    writers = [
        threading.Thread(target=lambda: results.append(run_python(code)))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [result.stderr for result in results] == ["", "", ""]
    assert [path.name for path in cache.iterdir()] == ["digits.npz"]


# Without a network


@pytest.mark.parametrize("name", ["fashion_mnist", "binarized_mnist"])
def test_error_names_set_reason_and_way_out(cache, fake_tfds, offline, name):
    with pytest.raises(data.DataUnavailableError) as caught:
        data.load(name)
    message = str(caught.value)
    for part in (f"'{name}'", "images.invalid", "no route", "TFDS_DATA_DIR", "digits"):
        assert part in message
    assert not fake_tfds.loaded
    # One error, without a chain of others in front of it.
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert not cache.exists()


def test_olivetti_error(cache, offline, monkeypatch, tmp_path):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "empty"))
    with pytest.raises(data.DataUnavailableError, match="SCIKIT_LEARN_DATA") as caught:
        data.load("olivetti")
    assert "figshare" in str(caught.value)
    assert offline == [sources.OLIVETTI_URL]


def test_damaged_olivetti_file(cache, offline, monkeypatch, tmp_path):
    (tmp_path / "olivetti_py3.pkz").write_bytes(b"damaged")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with pytest.raises(data.DataUnavailableError, match="SCIKIT_LEARN_DATA"):
        data.load("olivetti")


def test_missing_package_is_unavailable_too(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(data.DataUnavailableError, match="tensorflow_datasets"):
        data.load("fashion_mnist")


def test_a_package_that_is_there_in_part_is_named(cache, tmp_path, monkeypatch):
    """tensorflow-datasets logs why it cannot be imported, and goes on without."""
    package = tmp_path / "tensorflow_datasets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "public_api.py").write_text("raise TypeError('protobuf is too old')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.startswith("tensorflow_datasets")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(data.DataUnavailableError, match="protobuf is too old"):
        data.load("fashion_mnist")
    for name in [n for n in sys.modules if n.startswith("tensorflow_datasets")]:
        monkeypatch.delitem(sys.modules, name)


def test_nothing_prepared_and_no_network_takes_seconds(tmp_path):
    result = run_python(
        """
        import socket, time

        def offline(*args, **kwargs):
            raise OSError("this machine is offline")

        socket.getaddrinfo = socket.create_connection = offline
        from tfattn import data
        for name in ("fashion_mnist", "olivetti"):
            start = time.monotonic()
            try:
                data.load(name)
            except data.DataUnavailableError as error:
                assert "this machine is offline" in str(error), error
                print(f"{time.monotonic() - start:.1f}")
        """,
        TFATTN_OFFLINE="",
        TFATTN_CACHE=str(tmp_path / "cache"),
        TFDS_DATA_DIR=str(tmp_path / "tfds"),
        SCIKIT_LEARN_DATA=str(tmp_path / "sklearn"),
    )
    seconds = [float(line) for line in result.stdout.split()]
    assert len(seconds) == 2, result.stderr
    assert max(seconds) < 60  # and not three minutes


def test_name_look_up_that_hangs(cache, fake_tfds, monkeypatch):
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait(60)
        raise OSError

    monkeypatch.delenv("TFATTN_OFFLINE")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(sources, "PROBE_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(data.DataUnavailableError, match=r"no answer within 0\.3 s"):
        data.load("fashion_mnist")
    assert time.monotonic() - start < 5
    released.set()


def test_offline_asks_no_host(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("asked"))
    reason = sources._why_unreachable("https://images.invalid/train.gz")
    assert reason == "TFATTN_OFFLINE is set"


def test_host_that_accepts_and_never_answers(monkeypatch):
    monkeypatch.delenv("TFATTN_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(sources, "PROBE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/train.gz"
        start = time.monotonic()
        assert sources._why_unreachable(url)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ("0.2", r"no answer within 0\.2 seconds; TFATTN_TIMEOUT"),
        ("30", None),  # for a proxy that takes longer than is usual
        ("soon", "expected TFATTN_TIMEOUT as seconds above 0, received 'soon'"),
        ("-1", "expected TFATTN_TIMEOUT as seconds above 0"),
        ("nan", "expected TFATTN_TIMEOUT as seconds above 0"),
        ("inf", "expected TFATTN_TIMEOUT as seconds above 0"),
    ],
)
def test_time_for_an_answer(cache, fake_tfds, monkeypatch, seconds, words):
    """A host that answers after a second."""

    def answer(*args, **kwargs):
        time.sleep(1)
        return contextlib.nullcontext()

    monkeypatch.delenv("TFATTN_OFFLINE")
    monkeypatch.setenv("TFATTN_TIMEOUT", seconds)
    monkeypatch.setattr(sources, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(sources.urllib.request, "urlopen", answer)
    if words is None:
        assert sources._why_unreachable("https://images.invalid/train.gz") is None
        return
    with pytest.raises(data.DataUnavailableError, match=words) as error:
        data.load("fashion_mnist")
    assert f"or copy {cache / 'fashion_mnist.npz'} from" in str(error.value)


@pytest.mark.parametrize("status", [200, 404, 503])
def test_answer_of_a_host(monkeypatch, status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    monkeypatch.delenv("TFATTN_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/train.gz"
        reason = sources._why_unreachable(url)
        server.shutdown()
    if status == 200:
        assert reason is None
    else:
        assert str(status) in reason


# Fallback and names


def test_nothing_replaces_binarized_mnist(tiny):
    with pytest.raises(ValueError, match="no fallback for 'binarized_mnist'"):
        data.load("binarized_mnist", fallback="mnist")
    assert not tiny


@pytest.mark.parametrize("fallback", data.EMBEDDED_NAMES)
def test_fallback_is_announced_and_says_what_it_is(
    loaded, cache, fake_tfds, offline, fallback
):
    with pytest.warns(data.FallbackWarning) as caught:
        dataset = data.load("fashion_mnist", fallback=fallback)
    message = str(caught[0].message)
    assert message.startswith("NOT FASHION_MNIST")
    assert repr(fallback) in message
    assert "no route to host" in message
    assert caught[0].filename == __file__
    assert_equal(dataset, loaded(fallback))
    # A later load of the real set must not find the other one under its name.
    assert not (cache / "fashion_mnist.npz").exists()


@pytest.mark.filterwarnings("error")
def test_fallback_is_not_used_when_the_set_is_there(cache, fake_tfds):
    fake_tfds.prepared = True
    assert data.load("fashion_mnist", fallback="digits").name == "fashion_mnist"


@pytest.mark.parametrize("fallback", ["fashion_mnist", "olivetti", "digit", "", 3])
def test_invalid_fallback(tiny, fallback):
    with pytest.raises(
        ValueError, match=r"`fallback`.*'mnist', 'digits', 'faces'"
    ) as caught:
        data.load("fashion_mnist", fallback=fallback)
    assert f"Received: fallback={fallback!r}" in str(caught.value)
    assert not tiny


@pytest.mark.parametrize("name", ["MNIST", "cifar", "../mnist", "", None, ["mnist"]])
def test_unknown_name(tiny, name):
    with pytest.raises(ValueError, match=r"`name`.*'olivetti', 'digits'") as caught:
        data.load(name, fallback="digits")
    assert f"Received: name={name!r}" in str(caught.value)
    assert not tiny


# Binarization


def test_binarize_draws_with_the_given_probability():
    p = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    n = 40_000
    drawn = data.binarize(np.repeat(p[:, None], n, axis=1), seed=1)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    means = drawn.mean(axis=1)
    assert means[0] == 0 and means[-1] == 1
    # Five standard deviations of the mean of n draws.
    assert np.all(np.abs(means - p) <= 5 * np.sqrt(p * (1 - p) / n))
    # Pixels are drawn one by one: neighbors do not agree more often than by chance.
    half = drawn[2]
    assert abs((half[1:] == half[:-1]).mean() - 0.5) < 5 * 0.5 / np.sqrt(n)


def test_binarize_never_draws_the_impossible(monkeypatch):
    # The generator can return 0 itself, about three times in MNIST's 47 million pixels.
    zeros = types.SimpleNamespace(random=lambda shape, dtype: np.zeros(shape, dtype))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: zeros)
    assert data.binarize(np.array([0.0, 1.0]), seed=0).tolist() == [0, 1]


def test_binarize_depends_on_the_seed_alone():
    x = np.full((3, 5, 7, 1), 0.5, np.float32)
    np.testing.assert_array_equal(data.binarize(x, 11), data.binarize(x, 11))
    assert np.any(data.binarize(x, 11) != data.binarize(x, 12))
    assert np.all(x == 0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
def test_binarize_leaves_binary_images_alone(dtype):
    x = np.random.default_rng(0).integers(0, 2, (3, 5, 7, 1)).astype(dtype)
    drawn = data.binarize(x, seed=0)
    assert drawn.dtype == np.float32
    assert drawn.shape == x.shape
    np.testing.assert_array_equal(drawn, x)


@pytest.mark.parametrize("shape", [(), (0, 28, 28, 1)])
def test_binarize_any_shape(shape):
    drawn = data.binarize(np.ones(shape), seed=0)
    assert drawn.shape == shape
    assert drawn.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01, 255])
def test_binarize_rejects_what_is_no_probability(value):
    x = np.full((2, 3), 0.5)
    x[1, 2] = value
    with pytest.raises(ValueError, match=r"Expected values in \[0, 1\].*\(2, 3\)"):
        data.binarize(x, seed=0)
