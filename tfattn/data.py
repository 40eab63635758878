"""Data sets by name, as arrays.

```python
from tfattn import data

mnist = data.load("mnist")                      # the real one, or a clear error
digits = data.load("mnist", fallback="digits")  # warns, and says what it returned
```

| name              | image     | train / test    | labels      | comes from          |
|-------------------|-----------|-----------------|-------------|---------------------|
| `mnist`           | 28×28×1   | 60 000 / 10 000 | digit 0–9   | tensorflow-datasets |
| `fashion_mnist`   | 28×28×1   | 60 000 / 10 000 | article 0–9 | tensorflow-datasets |
| `binarized_mnist` | 28×28×1   | 50 000 / 10 000 | none        | tensorflow-datasets |
| `olivetti`        | 64×64×1   | 300 / 100       | person 0–39 | scikit-learn        |
| `digits`          | 28×28×1   | 1 500 / 297     | digit 0–9   | scikit-learn wheel  |
| `faces`           | 25×25×1   | 80 / 20         | none        | scikit-image wheel  |

`digits` and `faces` are inside installed packages and need no network. The others
are downloaded once, into the folders `TFDS_DATA_DIR` and `SCIKIT_LEARN_DATA`. Each
set is then kept as one `.npz` file in the folder `TFATTN_CACHE`, by default the
user's cache folder, and is read from there without TensorFlow.

Licences: MNIST (LeCun, Cortes, Burges) is CC BY-SA 3.0, and its binarised form
(Larochelle, after Salakhutdinov and Murray, 2008) derives from it. Fashion-MNIST
(Zalando) is MIT. The Olivetti faces are to be credited to AT&T Laboratories
Cambridge. The 8×8 digits are from the UCI repository (Alpaydin, Kaynak), CC BY 4.0.
The face crops are from Labeled Faces in the Wild (Huang and others, 2007).
"""

import base64
import hashlib
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

NAMES = ("mnist", "fashion_mnist", "binarized_mnist", "olivetti", "digits", "faces")
EMBEDDED_NAMES = ("digits", "faces")

# A host that has not answered by then is taken to be out of reach.
PROBE_SECONDS = 5.0
OTHERS_SECONDS = 60.0
# Part of every checksum: raise it when a set, a split or the file layout changes, so
# that files of older releases are rebuilt.
CACHE_VERSION = 1
OLIVETTI_URL = "https://ndownloader.figshare.com/files/5976027"


class DataUnavailableError(RuntimeError):
    """A data set is neither on this machine nor to be had from the network."""


class FallbackWarning(UserWarning):
    """Another data set was returned than the one asked for."""


class CacheWarning(UserWarning):
    """A cached file was damaged, or the cache folder cannot be written."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set.

    Attributes:
        name: The set these arrays really are, which after a fallback is not the one
            asked for.
        source: Where the arrays came from, in words.
        x_train, x_test: Images, float32 in [0, 1], shape (n, h, w, c).
        y_train, y_test: Labels, int64, shape (n,), or `None` where there are none.
    """

    name: str
    source: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray | None = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray | None = field(repr=False)


def load(name: str, fallback: str | None = None) -> Dataset:
    """Load a data set by name.

    The order of the images is always the same. For the MNIST family it is the order
    of tensorflow-datasets, not that of the original files.

    * `binarized_mnist` is Larochelle's fixed binarisation, for likelihoods comparable
      with published ones. Its 10 000 validation images are left out of both arrays.
    * `olivetti` is split by identity: people 0–29 train, 30–39 test, ten images each.
    * `digits` is enlarged from 8×8 by cubic interpolation; its split is stratified.

    Args:
        name: One of `NAMES`.
        fallback: `None`, or the embedded set ("digits" or "faces") to return, with a
            `FallbackWarning`, when the set asked for cannot be had.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If `name` or `fallback` is not one of the choices.
        DataUnavailableError: If the set is not on this machine and its host does not
            answer within `PROBE_SECONDS`, or if the download or the files are broken.
    """
    if name not in NAMES:
        raise ValueError(
            "Invalid value for argument `name`. "
            f"Expected one of {NAMES}. Received: name={name!r}"
        )
    if fallback is not None and fallback not in EMBEDDED_NAMES:
        raise ValueError(
            "Invalid value for argument `fallback`. Expected None or a set that needs "
            f"no network, one of {EMBEDDED_NAMES}. Received: fallback={fallback!r}"
        )
    try:
        return _load(name)
    except DataUnavailableError as error:
        if fallback is None:
            raise
        warnings.warn(
            f"NOT {name.upper()}: what follows uses the data set {fallback!r} in its "
            f"place, other images with other numbers. {error}",
            FallbackWarning,
            stacklevel=2,
        )
    return _load(fallback)


def binarize(x: np.ndarray, seed: int) -> np.ndarray:
    """Draw each pixel once from Bernoulli(x), its value being the probability of 1.

    Args:
        x: Images in [0, 1], of any shape.
        seed: Seed of `numpy.random.default_rng`.

    Returns:
        An array of zeros and ones, float32, of the shape of `x`.

    Raises:
        ValueError: If a value is NaN or outside [0, 1].
    """
    x = np.asarray(x)
    if not np.all((x >= 0) & (x <= 1)):  # NaN fails both comparisons
        raise ValueError(
            "Invalid value for argument `x`. Expected values in [0, 1] without NaN. "
            f"Received: x of shape {x.shape}, minimum {x.min()}, maximum {x.max()}, "
            f"{np.count_nonzero(np.isnan(x))} NaN"
        )
    uniform = np.random.default_rng(seed).random(x.shape, np.float32)  # in [0, 1)
    return np.asarray(uniform < x, np.float32)


def _load(name: str) -> Dataset:
    path = _cache_folder() / f"{name}.npz"
    arrays = _read_cache(name, path)
    if arrays is None:
        arrays = _build(name)
        _write_cache(name, path, arrays)
    return Dataset(
        name=name,
        source=str(arrays["source"]),
        x_train=_to_unit_interval(arrays["x_train"]),
        y_train=arrays.get("y_train"),
        x_test=_to_unit_interval(arrays["x_test"]),
        y_test=arrays.get("y_test"),
    )


def _to_unit_interval(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 255
    return images


# Cache: one .npz file per set, with `source`, the arrays as they are distributed
# (uint8 where they are) and a checksum of all of it.


def _cache_folder() -> Path:
    if folder := os.environ.get("TFATTN_CACHE"):
        return Path(folder).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tfattn"


def _checksum(name: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(f"{name} {CACHE_VERSION}".encode())
    for key, array in sorted(arrays.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read_cache(name: str, path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays in `path`, or `None` if it is missing or damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
        if str(arrays.pop("checksum")) == _checksum(name, arrays):
            return arrays
        reason = "its checksum is not that of its content"
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can break any part of the reader
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(
        f"The cached data set {path} is damaged or from another release ({reason}). "
        "It is rebuilt.",
        CacheWarning,
        stacklevel=4,
    )
    return None


def _write_cache(name: str, path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the file whole or not at all; two processes may do so at once."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "xb") as file:
                np.savez(file, checksum=_checksum(name, arrays), **arrays)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"The data set {name!r} cannot be cached in {path.parent} ({error}), so "
            "the next load will be as slow. TFATTN_CACHE names another folder.",
            CacheWarning,
            stacklevel=4,
        )


# Sources: each returns `source`, `x_train`, `x_test` and, where there are labels,
# `y_train`, `y_test`. Heavy imports are inside: a cached set is read without them.


def _build(name: str) -> dict[str, np.ndarray]:
    if name in EMBEDDED_NAMES:
        return _from_digits() if name == "digits" else _from_faces()
    try:
        if name == "olivetti":
            return _from_olivetti()
        return _from_tensorflow_datasets(name)
    except Exception as error:  # many libraries stand between here and the host
        clear = isinstance(error, DataUnavailableError)
        reason = str(error) if clear else f"{type(error).__name__}: {error}"
        folder = "SCIKIT_LEARN_DATA" if name == "olivetti" else "TFDS_DATA_DIR"
        raise DataUnavailableError(
            f"The data set {name!r} is not available: {reason}. Ways out: connect to "
            f"the internet and load it once; or set {folder} to a folder that holds "
            'it; or use a set that needs no network: load("digits"), or '
            f'load({name!r}, fallback="digits").'
        ) from (None if clear else error)


def _from_tensorflow_datasets(name: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    def read() -> list[dict[str, np.ndarray]]:
        return tfds.as_numpy(tfds.load(name, split=["train", "test"], batch_size=-1))

    tfds.disable_progress_bar()
    builder = tfds.builder(name)
    if not builder.is_prepared():
        _check_downloads(builder)
    try:
        contents = read()
    except Exception:  # tensorflow-datasets wraps errors of files in others
        # Of two processes that prepare a set at the same time, one may fail.
        if not _prepared_by_another(builder):
            raise
        contents = read()
    arrays = {"source": np.array(f"tensorflow-datasets {name} {builder.version}")}
    # Binarised images arrive as 0 and 1, the others as 0 to 255.
    scale = np.uint8(255 if name == "binarized_mnist" else 1)
    for split, content in zip(("train", "test"), contents, strict=True):
        arrays[f"x_{split}"] = content["image"] * scale
        if "label" in content:
            arrays[f"y_{split}"] = content["label"].astype(np.int64)
    return arrays


def _prepared_by_another(builder) -> bool:
    """Wait for another process that is preparing the set, as far as one can see."""
    under_way = f"incomplete.*_{builder.version}"
    deadline = time.monotonic() + OTHERS_SECONDS
    while not builder.is_prepared():
        folder = Path(builder.data_path).parent
        if not any(folder.glob(under_way)) or time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _check_downloads(builder) -> None:
    """Make sure that every original file is in the download folder or to be had.

    tensorflow-datasets itself would trust a damaged file, and would ask a host that
    does not answer again and again for more than three minutes.
    """
    downloads = Path(builder.data_path).parents[1] / "downloads"
    for url, url_info in builder.url_infos.items():
        sha256 = bytes.fromhex(url_info.checksum)
        # A finished download has its checksum in its name and an INFO file beside it.
        infos = f"*{base64.urlsafe_b64encode(sha256).decode().rstrip('=')}*.INFO"
        found = [*downloads.glob(infos), *downloads.glob(f"{builder.name}/{infos}")]
        files = [path for info in found if (path := info.with_suffix("")).exists()]
        if not files:
            _check_host(url)
        for path in files:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").digest() != sha256:
                    raise DataUnavailableError(
                        f"{path} is damaged, delete it and the INFO file beside it"
                    )


def _check_host(url: str) -> None:
    if reason := _why_unreachable(url):
        raise DataUnavailableError(
            "it is not on this machine and "
            f"{urllib.parse.urlsplit(url).hostname} is out of reach ({reason})"
        )


def _why_unreachable(url: str) -> str | None:
    """Return why `url` cannot be fetched now, or `None` if it can.

    A thread of its own, because no time limit reaches a name look-up that hangs. A
    request and not just a connection, so that proxies count as for the download.
    """
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                answers.put(None)
        except Exception as error:
            answers.put(str(error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        return f"no answer within {PROBE_SECONDS:g} seconds"


def _from_olivetti() -> dict[str, np.ndarray]:
    from sklearn.datasets import fetch_olivetti_faces, get_data_home

    if not (Path(get_data_home()) / "olivetti_py3.pkz").exists():
        _check_host(OLIVETTI_URL)
    faces = fetch_olivetti_faces()
    images = faces.images[..., np.newaxis].astype(np.float32)
    person = faces.target.astype(np.int64)
    train = person < 30
    return {
        "source": np.array("scikit-learn Olivetti faces (AT&T Laboratories Cambridge)"),
        "x_train": images[train],
        "y_train": person[train],
        "x_test": images[~train],
        "y_test": person[~train],
    }


def _from_digits() -> dict[str, np.ndarray]:
    from skimage.transform import resize
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    # Cubic interpolation overshoots; `clip` keeps to the range of the input, [0, 1].
    shape = (len(digits.images), 28, 28)
    images = resize(digits.images / 16, shape, order=3, clip=True)
    images = np.rint(255 * images).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=297, random_state=0, stratify=labels
    )
    return {
        "source": np.array("scikit-learn digits, enlarged to 28x28 (embedded)"),
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
    }


def _from_faces() -> dict[str, np.ndarray]:
    from skimage.data import lfw_subset

    # The other half of the 200 crops shows no faces.
    images = lfw_subset()[:100, ..., np.newaxis].astype(np.float32)
    return {
        "source": np.array("scikit-image lfw_subset (embedded)"),
        "x_train": images[:80],
        "x_test": images[80:],
    }
