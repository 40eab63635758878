"""Bad input, refused before any work starts; the same words everywhere."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def check_integer(name: str, value: Any, least: int, divisor: int = 1) -> int:
    """Python's integer; ValueError unless at least `least` and divisible."""
    if not is_integer(value) or value < least or value % divisor:
        divisible = f" and divisible by {divisor}" if divisor > 1 else ""
        raise ValueError(
            f"Expected `{name}` to be an integer >= {least}{divisible}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def checked_seed(seed: Any) -> int | None:
    """The seed as Python's integer, or `None`; ValueError unless one of at least 0."""
    return None if seed is None else check_integer("seed", seed, least=0)


def is_integer(value: Any) -> bool:
    """Python's and NumPy's, but no boolean, which to Python is one."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Python's and NumPy's integers and floats, but no boolean."""
    return is_integer(value) or isinstance(value, float | np.floating)


def check_share(name: str, value: float) -> None:
    """Raises ValueError unless `value` is in [0, 1)."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"Expected {name} in [0, 1). Received: {name}={value!r}")


def check_fraction(name: str, value: float) -> None:
    """Raises ValueError unless `value` is in [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"Expected `{name}` in [0, 1]. Received: {name}={value!r}")


def check_above_0(name: str, value: float) -> None:
    """Raises ValueError unless `value` is a finite number above 0."""
    if not is_number(value) or not 0 < value < np.inf:
        raise ValueError(f"Expected {name} > 0. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: Iterable[str | None]) -> None:
    """Raises ValueError unless `value` is one of the choices, words or `None`."""
    choices = list(choices)
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(f"Expected {name} in {choices}. Received: {name}={value!r}")


def check_image_shape(image_shape: Sequence[int], divisor: int) -> None:
    """Raises ValueError unless this is (height, width, channels), sizes divisible."""
    if (
        not isinstance(image_shape, tuple | list)
        or len(image_shape) != 3
        or any(not is_integer(size) or size < 1 for size in image_shape)
    ):
        raise ValueError(
            "Expected image_shape=(height, width, channels). "
            f"Received: image_shape={image_shape!r}"
        )
    h, w, c = image_shape
    if h % divisor or w % divisor:
        below, above = (
            tuple(max(1, size + up) // divisor * divisor for size in (h, w))
            for up in (0, divisor - 1)
        )
        nearest = [(*size, c) for size in (below, above) if 0 not in size]
        raise ValueError(
            f"Expected height and width divisible by {divisor}, such as "
            f"{' or '.join(map(str, nearest))}. Received: image_shape={(h, w, c)}"
        )


def check_patch_size(patch_size: Any) -> None:
    """Raises ValueError unless this is (patch_h, patch_w)."""
    if not isinstance(patch_size, tuple | list) or len(patch_size) != 2:
        raise ValueError(
            "Expected patch_size=(patch_h, patch_w). "
            f"Received: patch_size={patch_size!r}"
        )
    for size in patch_size:
        check_integer("patch_size", size, least=1)


def check_tiled(shape: Sequence[int | None], patch_size: Sequence[int]) -> None:
    """Raises ValueError unless patches tile images of a shape, where it is known."""
    patch_h, patch_w = patch_size
    if len(shape) != 4 or any(
        size is not None and size % patch
        for size, patch in zip(shape[1:3], patch_size, strict=True)
    ):
        raise ValueError(
            f"Expected images (batch, h, w, c), h divisible by {patch_h} and w by "
            f"{patch_w}. Received: images of shape {tuple(shape)}"
        )


def as_array(x: Any, dtype: str | None = None) -> np.ndarray:
    """`np.asarray`, also of what torch has on a GPU, with a gradient or in bfloat16."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if x.is_floating_point() and x.element_size() < 4 else x
    return np.asarray(x, dtype)


def checked_numbers(name: str, x: ArrayLike) -> np.ndarray:
    """An array of booleans, integers or real numbers; ValueError for anything else."""
    x = as_array(x)
    if x.dtype.kind not in "biuf":
        # Half precision of JAX and torch is no kind of NumPy's own.
        if not np.can_cast(x.dtype, "float32"):
            raise ValueError(
                f"Expected {name} as an array of numbers. Received: {name} of type "
                f"{x.dtype}"
            )
        x = x.astype("float32")
    return x


def checked_images(
    x: ArrayLike, image_shape: tuple[int, ...], name: str = "images"
) -> np.ndarray:
    """Images as a float32 array; ValueError unless (n, *image_shape) and in [0, 1]."""
    x = checked_numbers(name, x)
    pixels = "pixels" if name == "images" else f"{name} with pixels"
    if x.dtype == "uint8" and x.max(initial=0) > 1:
        raise ValueError(
            f"Expected {pixels} in [0, 1]. Received: bytes from 0 to "
            f"{x.max()}. Divide them by 255: x.astype('float32') / 255"
        )
    x = x.astype("float32", copy=False)
    if x.shape[1:] != image_shape or not len(x):
        raise ValueError(
            f"Expected {name} of shape (n, {str(image_shape)[1:]}, at least one. "
            f"Received: shape {x.shape}"
        )
    if not np.all((x >= 0) & (x <= 1)):
        raise ValueError(
            f"Expected {pixels} in [0, 1] and no NaN. Received: values from "
            f"{x.min()} to {x.max()}"
        )
    return x


def checked_binary_images(x: ArrayLike, image_shape: tuple[int, ...]) -> np.ndarray:
    """`checked_images` of zeros and ones; ValueError for anything between."""
    x = checked_images(x, image_shape)
    if not np.all((x == 0) | (x == 1)):
        raise ValueError(
            "The bound is one on the probability of binary images. Expected pixels 0 "
            "and 1, see tfattn.data.binarize. Received: values between, such as "
            f"{x[(x != 0) & (x != 1)][0]}"
        )
    return x


def checked_labels(labels: ArrayLike, n: int, num_classes: int) -> np.ndarray:
    """Labels as an array; ValueError unless n integers from 0 to num_classes - 1."""
    labels = as_array(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Expected integer labels. Received: labels of type {labels.dtype}"
        )
    if labels.shape != (n,) or not np.all((labels >= 0) & (labels < num_classes)):
        raise ValueError(
            f"Expected {n} labels from 0 to {num_classes - 1}. Received: "
            f"labels of shape {labels.shape} with values {np.unique(labels)}"
        )
    return labels


def checked_visible(
    visible: ArrayLike, n: int, image_shape: tuple[int, ...]
) -> np.ndarray:
    """Boolean (1 or n, h, w, 1); ValueError unless boolean (h, w) or (n, h, w)."""
    visible = as_array(visible)
    h, w, _ = image_shape
    if visible.dtype != bool or visible.shape not in ((h, w), (n, h, w)):
        raise ValueError(
            f"Expected boolean `visible` of shape {(h, w)} or {(n, h, w)}. "
            f"Received: {visible.dtype} of shape {visible.shape}"
        )
    return visible.reshape(-1, h, w, 1)


def checked_partly_visible(
    visible: ArrayLike, n: int, image_shape: tuple[int, ...]
) -> np.ndarray:
    """Boolean (n, h, w, 1); ValueError unless each image is visible in part alone."""
    visible = checked_visible(visible, n, image_shape)
    shares = visible.mean(axis=(1, 2, 3))
    if not np.all((shares > 0) & (shares < 1)):
        raise ValueError(
            "Expected masks with at least one visible and one hidden pixel. Received: "
            f"`visible` with {np.sum(shares == 0)} all hidden and "
            f"{np.sum(shares == 1)} all visible of {len(visible)}"
        )
    return np.broadcast_to(visible, (n, *visible.shape[1:]))
