"""Reads each data set from this package, from another package, or by download.

Heavy imports are inside the functions: MNIST and cached sets are read without them.
"""

import base64
import contextlib
import hashlib
import importlib
import io
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np

EMBEDDED_NAMES = ("mnist", "digits", "faces", "avatars")
# Made by benchmarks/embed_mnist.py.
MNIST_FILE = Path(__file__).with_name("mnist.npz")
MNIST_SHA256 = "77f4e8acea96324eb1e9a24a79f7dedc79cc736cc1a8d0a07863544127f08419"
# A host that has not answered by then is taken to be out of reach, if TFATTN_TIMEOUT
# does not say otherwise.
PROBE_SECONDS = 5.0
# So long another process may take to prepare a set.
OTHERS_SECONDS = 60.0
OLIVETTI_URL = "https://ndownloader.figshare.com/files/5976027"


class DataUnavailableError(RuntimeError):
    """A data set is not on this machine and cannot be downloaded.

    Attributes:
        reason: Why, as a part of a sentence.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Unavailable(Exception):
    """Why a set is not available, in words for the user."""


def read_mnist() -> dict[str, np.ndarray]:
    """The arrays of MNIST, uint8, from the file in this package.

    Raises:
        DataUnavailableError: If the file is missing or is not the released one.
    """
    content = b""
    try:
        content = MNIST_FILE.read_bytes()
        found = hashlib.sha256(content).hexdigest()
    except OSError as error:
        found = str(error)
    if found != MNIST_SHA256:
        reason = f"{MNIST_FILE} is damaged: expected sha256 {MNIST_SHA256}, got {found}"
        raise DataUnavailableError(
            f"The data set 'mnist' is not available: {reason}. Install tfattn again.",
            reason,
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    for labels in ("y_train", "y_test"):
        arrays[labels] = arrays[labels].astype(np.int64)
    return arrays | {"source": np.array("tensorflow-datasets mnist 3.0.1")}


def build(name: str, cached: Path) -> dict[str, np.ndarray]:
    """The arrays of a set as they are distributed (uint8 where they are).

    Args:
        name: A name that `tfattn.data.load` takes, except "mnist".
        cached: The file that the set will be read from the next time.

    Returns:
        Dictionary of `source`, `x_train`, `x_test` and, where there are labels,
        `y_train`, `y_test`.

    Raises:
        DataUnavailableError: As `tfattn.data.load` says.
    """
    if name == "digits":
        return _from_digits()
    if name == "faces":
        return _from_faces()
    try:
        if name == "olivetti":
            return _from_olivetti()
        return _from_tensorflow_datasets(name)
    except Exception as error:  # many libraries stand between here and the host
        clear = isinstance(error, _Unavailable)
        reason = str(error) if clear else f"{type(error).__name__}: {error}"
        folder = "SCIKIT_LEARN_DATA" if name == "olivetti" else "TFDS_DATA_DIR"
        raise DataUnavailableError(
            f"The data set {name!r} is not available: {reason}. To get it, connect to "
            f"the internet and load it once; or set {folder} to a folder that holds "
            f"it; or copy {cached} from a machine where it was loaded. These data sets "
            f"need no network: {', '.join(EMBEDDED_NAMES)}.",
            reason,
        ) from (None if clear else error)


def _from_tensorflow_datasets(name: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    if not hasattr(tfds, "builder"):
        # It could not be imported, logged why, and went on. This raises the error.
        importlib.import_module("tensorflow_datasets.public_api")

    def read() -> list[dict[str, np.ndarray]]:
        # It announces a download, and its folder, amid what the program prints.
        with contextlib.redirect_stdout(sys.stderr):
            found = tfds.load(name, split=["train", "test"], batch_size=-1)
            return tfds.as_numpy(found)

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
    # Binarized images arrive as 0 and 1, the others as 0 to 255.
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
                    raise _Unavailable(
                        f"{path} is damaged, delete it and the INFO file beside it"
                    )


def _check_host(url: str) -> None:
    if reason := _why_unreachable(url):
        raise _Unavailable(
            "it is not on this machine and "
            f"{urllib.parse.urlsplit(url).hostname} cannot be reached ({reason})"
        )


def _why_unreachable(url: str) -> str | None:
    """Return why `url` cannot be fetched now, or `None` if it can.

    A thread of its own, because no time limit reaches a name look-up that hangs. A
    request and not just a connection, so that proxies count as for the download.
    """
    if os.environ.get("TFATTN_OFFLINE"):
        return "TFATTN_OFFLINE is set"
    seconds = _seconds_to_wait()
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                answers.put(None)
        except Exception as error:
            answers.put(str(error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} seconds; TFATTN_TIMEOUT sets more"


def _seconds_to_wait() -> float:
    given = os.environ.get("TFATTN_TIMEOUT")
    try:
        seconds = PROBE_SECONDS if not given else float(given)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise _Unavailable(
            f"expected TFATTN_TIMEOUT as seconds above 0, received {given!r}"
        )
    return seconds


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
