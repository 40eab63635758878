"""Data sets by name, and your own pictures, as arrays.

```python
from tfattn import data

mnist = data.load("mnist")  # inside this package: no network, no TensorFlow
olivetti = data.load("olivetti")  # downloaded once, or a clear error
faces = data.load("olivetti", fallback="faces")  # warns if it returns other images
birds = data.from_folder("~/pictures/birds", image_size=64)
```

| name              | image     | train / test    | labels      | comes from          |
|-------------------|-----------|-----------------|-------------|---------------------|
| `mnist`           | 28×28×1   | 60 000 / 10 000 | digit 0–9   | this package        |
| `fashion_mnist`   | 28×28×1   | 60 000 / 10 000 | article 0–9 | tensorflow-datasets |
| `binarized_mnist` | 28×28×1   | 50 000 / 10 000 | none        | tensorflow-datasets |
| `cifar10`         | 32×32×3   | 50 000 / 10 000 | object 0–9  | tensorflow-datasets |
| `olivetti`        | 64×64×1   | 300 / 100       | person 0–39 | scikit-learn        |
| `digits`          | 28×28×1   | 1 500 / 297     | digit 0–9   | scikit-learn wheel  |
| `faces`           | 25×25×1   | 80 / 20         | none        | scikit-image wheel  |
| `avatars`         | 32×32×3   | 20 000 / 5 000  | attributes  | this package        |

`mnist`, `digits` and `faces` are inside installed packages, and `tfattn.data.avatars`
draws `avatars`: these need no network. The others are downloaded once, into the folders
`TFDS_DATA_DIR` and `SCIKIT_LEARN_DATA`. Every set but `mnist` and `avatars` is then
kept as one `.npz` file in the folder `TFATTN_CACHE`, by default the user's cache
folder, and is read from there without TensorFlow. If `TFATTN_OFFLINE` is set, nothing
is downloaded. `TFATTN_TIMEOUT` is how many seconds a host, or a proxy before it, may
take to answer, by default 5.

Licenses: MNIST (LeCun, Cortes, Burges) is CC BY-SA 3.0, whose text is in
`LICENSE-MNIST.txt` beside this file; its binarized form (Larochelle, after
Salakhutdinov and Murray, 2008) derives from it. Fashion-MNIST (Zalando) is MIT. The
Olivetti faces are to be credited to AT&T Laboratories Cambridge. The 8×8 digits are
from the UCI repository (Alpaydin, Kaynak), CC BY 4.0. The face crops are from Labeled
Faces in the Wild (Huang and others, 2007).
"""

import hashlib
import os
import sys
import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tfattn._checks import as_array
from tfattn._choices import DATA_SETS
from tfattn.data import avatars
from tfattn.data.dataset import Dataset as Dataset
from tfattn.data.folders import PictureWarning as PictureWarning
from tfattn.data.folders import from_folder as from_folder
from tfattn.data.folders import stream as stream
from tfattn.data.sources import (
    EMBEDDED_NAMES,
    DataUnavailableError,
    build,
    read_mnist,
)

NAMES = DATA_SETS
NUM_AVATARS = 20_000, 5_000

# Part of every checksum: raise it when a set, a split or the file layout changes, so
# that files of older releases are rebuilt.
CACHE_VERSION = 1


class FallbackWarning(UserWarning):
    """Another data set was returned than the one asked for."""


class CacheWarning(UserWarning):
    """A cached file was damaged, or the cache folder cannot be written."""


def load(name: str, fallback: str | None = None) -> Dataset:
    """Load a data set by name.

    The order of the images is always the same. For the MNIST family it is the order
    of tensorflow-datasets, not that of the original files.

    * `binarized_mnist` is Larochelle's fixed binarization, for likelihoods comparable
      with published ones. Its 10 000 validation images are left out of both arrays.
    * `olivetti` is split by identity: people 0–29 train, 30–39 test, ten images each.
    * `digits` is enlarged from 8×8 by cubic interpolation; its split is stratified.
    * `avatars` holds no avatar twice.

    Args:
        name: One of `NAMES`.
        fallback: `None`, or the set to return, with a `FallbackWarning`, when the one
            asked for is not available: "mnist", "digits" or "faces". Nothing replaces
            `binarized_mnist`, whose likelihoods are compared with published ones.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If `name` or `fallback` is not one of the choices, or if
            `binarized_mnist` is given a fallback.
        DataUnavailableError: If the set is not on this machine and its host does not
            answer within seconds, or if the download or the files are broken.
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
    if name == "binarized_mnist" and fallback is not None:
        raise ValueError(
            "Expected no fallback for 'binarized_mnist', whose likelihoods are "
            f"compared with published ones. Received: fallback={fallback!r}"
        )
    try:
        return _load(name)
    except DataUnavailableError as error:
        if fallback is None:
            raise
        warnings.warn(
            f"NOT {name.upper()}: using the data set {fallback!r} instead, which has "
            f"different images and gives different numbers ({error.reason}).",
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
    x = as_array(x)
    if not np.all((x >= 0) & (x <= 1)):  # NaN fails both comparisons
        raise ValueError(
            "Invalid value for argument `x`. Expected values in [0, 1] without NaN. "
            f"Received: x of shape {x.shape}, minimum {x.min()}, maximum {x.max()}, "
            f"{np.count_nonzero(np.isnan(x))} NaN"
        )
    uniform = np.random.default_rng(seed).random(x.shape, np.float32)  # in [0, 1)
    return np.asarray(uniform < x, np.float32)


def _load(name: str) -> Dataset:
    if name == "mnist":
        arrays = read_mnist()
    elif name == "avatars":
        arrays = _draw_avatars()
    else:
        path = _cache_folder() / f"{name}.npz"
        arrays = _read_cache(name, path)
        if arrays is None:
            arrays = build(name, path)
            _write_cache(name, path, arrays)
    return Dataset(
        name=name,
        source=str(arrays["source"]),
        x_train=_to_unit_interval(arrays["x_train"]),
        y_train=arrays.get("y_train"),
        x_test=_to_unit_interval(arrays["x_test"]),
        y_test=arrays.get("y_test"),
    )


def _draw_avatars() -> dict[str, np.ndarray]:
    drawn = avatars.draw_attributes(2 * sum(NUM_AVATARS), seed=0)
    _, first = np.unique(drawn, axis=0, return_index=True)
    attributes = drawn[np.sort(first)[: sum(NUM_AVATARS)]]
    images = avatars.paint(avatars.by_name(attributes))
    x_train, x_test = np.split(images, NUM_AVATARS[:1])
    y_train, y_test = np.split(attributes, NUM_AVATARS[:1])
    return {
        "source": np.array("tfattn.data.avatars"),
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
    }


def _to_unit_interval(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return np.divide(images, np.float32(255), dtype=np.float32)
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
                content: dict[str, Any] = {
                    "checksum": _checksum(name, arrays),
                    **arrays,
                }
                np.savez(file, **content)
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
