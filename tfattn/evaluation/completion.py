"""How close completions are to the hidden part, and how much they differ."""

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import as_array, checked_images, checked_partly_visible

# Side of the windows that SSIM compares, and the spread of the weights in them.
WINDOW = 11
SIGMA = 1.5


def completion_quality(
    images: ArrayLike, visible: ArrayLike, completions: ArrayLike
) -> dict[str, np.ndarray]:
    """Measures of several completions of each image, on the hidden part.

    * `psnr`, `ssim`: of the mean of an image's completions, one answer for each image
    * `psnr_of_one`, `ssim_of_one`: of the first completion
    * `best_psnr`, `best_ssim`: of the best completion, measure by measure
    * `psnr_of_all`, `ssim_of_all`: as the first two, but of the whole image
    * `diversity`: standard deviation of a hidden pixel over the completions

    Args:
        images: Images (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w) or (n, h, w), `True` where a pixel was shown.
        completions: Array (n, num_samples, h, w, c); clipped to [0, 1].

    Returns:
        Dictionary from a measure's name to a NumPy array (n,).

    Raises:
        ValueError: For shapes that do not fit, values outside [0, 1] in `images`, or
            images smaller than SSIM's window of 11×11.
    """
    images = checked_images(images, np.shape(images)[1:])
    n, h, w, _ = images.shape
    completions = np.clip(as_array(completions, "float32"), 0, 1)
    if completions.shape[:1] + completions.shape[2:] != images.shape:
        raise ValueError(
            f"Expected completions of shape ({n}, num_samples, "
            f"{str(images.shape[1:])[1:]}. Received: shape {completions.shape}"
        )
    if min(h, w) < WINDOW:
        raise ValueError(
            f"SSIM compares windows of {WINDOW}×{WINDOW} pixels. "
            f"Received: images of shape {images.shape}"
        )
    hidden = ~checked_partly_visible(visible, n, images.shape[1:])
    mean = completions.mean(axis=1)
    each = [completions[:, k] for k in range(completions.shape[1])]
    psnr = [hidden_psnr(images, one, hidden) for one in each]
    ssim = [hidden_ssim(images, one, hidden) for one in each]
    everywhere = np.ones_like(hidden)
    return {
        "psnr": hidden_psnr(images, mean, hidden),
        "ssim": hidden_ssim(images, mean, hidden),
        "psnr_of_one": psnr[0],
        "ssim_of_one": ssim[0],
        "best_psnr": np.max(psnr, axis=0),
        "best_ssim": np.max(ssim, axis=0),
        "psnr_of_all": hidden_psnr(images, mean, everywhere),
        "ssim_of_all": hidden_ssim(images, mean, everywhere),
        "diversity": _mean_where(hidden, completions.std(axis=1)),
    }


def hidden_psnr(
    images: np.ndarray, completed: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Peak signal-to-noise ratio of the hidden pixels alone.

    Args:
        images: Images (n, h, w, c) in [0, 1].
        completed: Images of the same shape.
        hidden: Boolean array (n, h, w, 1).

    Returns:
        NumPy array (n,), dB; the peak is 1.
    """
    hidden = np.broadcast_to(hidden, images.shape)
    return np.array(
        [
            float(ops.psnr(image[where], answer[where], max_val=1.0))
            for image, answer, where in zip(images, completed, hidden, strict=True)
        ]
    )


def hidden_ssim(
    images: np.ndarray, completed: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Structural similarity over the windows that touch hidden pixels.

    Where all pixels of a window are visible and thus equal, its similarity is 1. With
    a share s of windows that touch, the mean over all windows is (1 − s) + s·SSIM, of
    which this returns SSIM. The seam between the two parts counts in it.

    Args:
        images: Images (n, h, w, c) in [0, 1].
        completed: Images of the same shape, equal to `images` where not hidden.
        hidden: Boolean array (n, h, w, 1).

    Returns:
        NumPy array (n,), at most 1.
    """
    from skimage.metrics import structural_similarity

    of_all = np.array(
        [
            structural_similarity(
                image,
                answer,
                data_range=1.0,
                gaussian_weights=True,
                sigma=SIGMA,
                use_sample_covariance=False,
                channel_axis=-1,
            )
            for image, answer in zip(images, completed, strict=True)
        ]
    )
    touching = ops.max_pool(
        ops.cast(hidden, "float32"), WINDOW, strides=1, data_format="channels_last"
    )
    share = ops.convert_to_numpy(touching).mean(axis=(1, 2, 3))
    return 1 - (1 - of_all) / share


def _mean_where(hidden, values):
    hidden = np.broadcast_to(hidden, values.shape)
    return np.sum(values * hidden, axis=(1, 2, 3)) / hidden.sum(axis=(1, 2, 3))
