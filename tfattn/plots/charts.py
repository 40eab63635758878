"""Numbers and structure: matrices, curves and diagrams."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tfattn.plots.style import SIGNED, WEIGHTS


def heatmaps(
    matrices: Mapping[str, np.ndarray],
    x_label: str,
    y_label: str,
    title: str | None = None,
) -> Figure:
    """Matrices side by side, in one color scale, with their indices.

    Args:
        matrices: Dictionary from a title to a matrix (rows, columns).
        x_label: What the columns are.
        y_label: What the rows are.
        title: Optional text above.

    Returns:
        Figure. The number is written into each cell if no matrix has more than 8 rows
        or columns.
    """
    values = [np.asarray(matrix, "float32") for matrix in matrices.values()]
    largest = max(float(np.abs(value).max()) for value in values)
    signed = any((value < 0).any() for value in values)
    scale = Normalize(-largest if signed else 0, largest)
    colors = ScalarMappable(scale, SIGNED if signed else WEIGHTS)
    height = 2.2 if max(max(value.shape) for value in values) <= 8 else 2.8
    sizes = [max(1.6, height * value.shape[1] / value.shape[0]) for value in values]
    figure = Figure(figsize=(sum(sizes) + 1.8, height + 0.9), layout="constrained")
    grid = figure.subplots(1, len(values), squeeze=False, width_ratios=sizes)[0]
    for axes, name, value in zip(grid, matrices, values, strict=True):
        axes.imshow(
            value, colors.get_cmap(), scale, interpolation="nearest", aspect="auto"
        )
        axes.set(xlabel=x_label)
        axes.set_title(name, fontsize=10)
        axes.locator_params(integer=True)
        if max(max(v.shape) for v in values) <= 8:
            axes.set(xticks=range(value.shape[1]), yticks=range(value.shape[0]))
            for (row, col), number in np.ndenumerate(value):
                dark = abs(number) > largest / 2 if signed else number < largest / 2
                axes.text(
                    col,
                    row,
                    f"{number:.2f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
    grid[0].set_ylabel(y_label)
    figure.colorbar(colors, ax=list(grid), shrink=0.9)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def curves(
    series: Mapping[str, Any], x_label: str, y_label: str, title: str | None = None
) -> Figure:
    """Lines over a common axis.

    Args:
        series: Dictionary from a line's name to its values, one for each step from 1,
            or to a pair (steps, values).
        x_label: Text below.
        y_label: Text at the side.
        title: Optional text above.

    Returns:
        Figure.
    """
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, values in series.items():
        if not isinstance(values, tuple):
            values = np.arange(1, len(values) + 1), values
        axes.plot(*values, label=name)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def diagram(
    boxes: Mapping[str, tuple[float, float]],
    arrows: Sequence[tuple[str, str] | tuple[str, str, str]],
    title: str | None = None,
    dashed: Collection[str] = (),
) -> Figure:
    """Boxes and the arrows between them: where data flow.

    Args:
        boxes: Dictionary from the text in a box, which may have several lines, to the
            middle of the box, (x, y): columns from left to right, rows downwards. A box
            is 0.8 wide and 0.6 high.
        arrows: Pairs of texts of boxes, from and to, or triples with a text for the
            arrow.
        title: Optional text above.
        dashed: Texts of boxes that are drawn dashed.

    Returns:
        Figure.

    Raises:
        ValueError: If an arrow starts or ends at a box that is not there.
    """
    unknown = {end for arrow in arrows for end in arrow[:2]} | set(dashed)
    if unknown := sorted(unknown - set(boxes)):
        raise ValueError(
            f"Arrows and `dashed` must name boxes. Expected some of {sorted(boxes)}. "
            f"Received: {unknown}"
        )
    x, y = np.transpose(list(boxes.values()))
    width, height = np.ptp(x) + 1, np.ptp(y) + 1
    figure = Figure(figsize=(1.7 * width, 0.95 * height + (0.3 if title else 0)))
    axes = figure.add_axes((0, 0, 1, 0.95 * height / figure.get_figheight()))
    axes.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.max() + 0.5, y.min() - 0.5))
    axes.axis("off")
    patches = {}
    for text, (col, row) in boxes.items():
        patches[text] = axes.add_patch(
            FancyBboxPatch(
                (col - 0.4, row - 0.3),
                0.8,
                0.6,
                "round,pad=0,rounding_size=0.08",
                facecolor="white" if text in dashed else "#dbe9f6",
                edgecolor="black",
                linestyle="--" if text in dashed else "-",
            )
        )
        axes.text(col, row, text, ha="center", va="center", fontsize=9)
    for start, end, *text in arrows:
        axes.add_patch(
            FancyArrowPatch(
                boxes[start],
                boxes[end],
                patchA=patches[start],
                patchB=patches[end],
                shrinkA=2,
                shrinkB=2,
                arrowstyle="-|>",
                mutation_scale=12,
                color="black",
            )
        )
        if text:
            x, y = np.mean([boxes[start], boxes[end]], axis=0)
            axes.text(
                x,
                y,
                text[0],
                ha="center",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            )
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
