"""Compares ways to fill in the hidden part of images."""

from collections.abc import Callable, Mapping

import numpy as np

from tfattn.evaluation import metrics
from tfattn.evaluation.completion import hidden_ssim

PROTOCOL = (
    "PSNR of the mean squared error of hidden pixels; SSIM of the mean of the samples; "
    "recognized: in the first sample, and by the class that most samples show (in a "
    "tie the smaller one); baselines have one answer"
)


def compared(
    ways: Mapping[str, Callable[[], np.ndarray]],
    x: np.ndarray,
    visible: np.ndarray,
    y: np.ndarray,
    classify: Callable[[np.ndarray], np.ndarray],
) -> dict[str, dict]:
    """The measures of each way, with intervals over images.

    Args:
        ways: Functions by name that return answers (n, num_samples, h, w, c).
        x: Images (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w): pixels that all answers must keep.
        y: Classes (n,).
        classify: Function from images (n, h, w, c) to classes (n,).
    """
    found = {}
    for name, way in ways.items():
        answers = way()
        shown = np.repeat(x[:, None, visible], answers.shape[1], axis=1)
        assert np.array_equal(answers[:, :, visible], shown), "visible pixels changed"
        mean = answers.mean(axis=1)
        errors = ((answers - x[:, None]) ** 2)[:, :, ~visible].mean(axis=(2, 3))
        of_mean = ((mean - x) ** 2)[:, ~visible].mean(axis=(1, 2))
        hidden = np.broadcast_to(~visible[None, ..., None], x.shape)
        ssim = hidden_ssim(x, mean, hidden)
        classes = classify(answers.reshape(-1, *x.shape[1:])).reshape(len(x), -1)
        votes = np.array([np.bincount(c).argmax() for c in classes])
        found[name] = {
            "num_samples": answers.shape[1],
            "psnr": _psnr(of_mean),
            "psnr_of_one": _psnr(errors[:, 0]),
            "best_psnr": _psnr(errors.min(axis=1)),
            "ssim": metrics.mean_estimate(ssim)._asdict(),
            "recognized": share_right(classes[:, 0], y),
            "recognized_by_most": share_right(votes, y),
        }
        print(name, found[name], flush=True)
    return found


def share_right(classes: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Share of the images whose class is right, with its interval."""
    return metrics.mean_estimate((classes == y).astype("float64"))._asdict()


def _psnr(errors):
    """Of the mean squared error of all images: a single one may have none."""
    found = metrics.mean_estimate(errors)
    value, low, high = (
        float(-10 * np.log10(error)) for error in (found.value, found.high, found.low)
    )
    return {"value": value, "low": low, "high": high, "num_images": found.num_images}
