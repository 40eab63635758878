"""Sheets of images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfattn.plots.style import IMAGE_SIZE, show


def image_grid(
    images: np.ndarray,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
    cell_size: float = IMAGE_SIZE,
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """A sheet of images.

    Args:
        images: Array (rows, columns, h, w, c) in [0, 1].
        row_titles: Optional text for each row.
        title: Optional text above the sheet.
        cell_size: Width of an image in inches.
        column_titles: Optional text for each column, of any number of lines.

    Returns:
        Figure with one axes: all images are in one picture, since matplotlib needs
        seconds to draw a hundred axes.
    """
    rows, columns, h, w, channels = images.shape
    gap = max(1, round(0.08 * w))
    tops, lefts = (h + gap) * np.arange(rows), (w + gap) * np.arange(columns)
    sheet = np.ones((tops[-1] + h, lefts[-1] + w, channels), "float32")
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            sheet[top : top + h, left : left + w] = images[row, column]
    lines = [text.count("\n") + 1 for text in column_titles or ()]
    figure, axes = _axes_of_size(
        width=sheet.shape[1] * cell_size / w,
        height=sheet.shape[0] * cell_size / w,
        left=0.1 + _width_of(row_titles) if row_titles else 0.0,
        top=0.1 + 0.16 * max(lines) if lines else 0.0,
        title=title,
    )
    show(axes, sheet)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
    if row_titles:
        axes.set_yticks(tops + (h - 1) / 2, row_titles)
    if column_titles:
        axes.xaxis.tick_top()
        axes.set_xticks(lefts + (w - 1) / 2, column_titles)
    return figure


def _width_of(texts):
    """Inches that the longest line of some texts takes at font size 9."""
    return 0.075 * max(len(line) for text in texts for line in text.split("\n"))


def _axes_of_size(width, height, left, top, title):
    """A figure with room for labels, and its only axes, of a size in inches."""
    margin = 0.08
    top += 0.3 if title else 0.0
    figure = Figure(figsize=(width + left + 2 * margin, height + top + 2 * margin))
    total_width, total_height = figure.get_size_inches()
    if title:
        figure.suptitle(title, fontsize=10, y=1 - 0.1 / total_height, va="top")
    axes = figure.add_axes(
        (
            (left + margin) / total_width,
            margin / total_height,
            width / total_width,
            height / total_height,
        )
    )
    return figure, axes


def completion_figure(
    images: np.ndarray,
    visible: np.ndarray,
    completions: np.ndarray,
    title: str | None = None,
    column_titles: Sequence[str] | None = None,
) -> Figure:
    """What was hidden of images, and answers for it.

    Args:
        images: Array (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w) or (n, h, w).
        completions: Array (n, num_samples, h, w, c) in [0, 1].
        title: Optional text above the figure.
        column_titles: Text for each completion; by default they are numbered.

    Returns:
        Figure with a row for each image: the image, what is shown of it (the rest is
        gray), its completions.
    """
    shown = np.where(visible[..., None], images, 0.5)
    rows = np.concatenate([images[:, None], shown[:, None], completions], axis=1)
    if column_titles is None:
        column_titles = [str(i + 1) for i in range(completions.shape[1])]
    titles = ["image", "visible", *column_titles]
    return image_grid(rows, title=title, column_titles=titles)
