import functools

import numpy as np
import pytest

from tfattn import plots


def cell(axes, row, column, h, w):
    """The image in a row and column of an `image_grid` of images up to 18 wide."""
    top, left = row * (h + 1), column * (w + 1)
    return axes.images[0].get_array()[top : top + h, left : left + w]


def drawn(figure):
    """Saves the figure to memory, which is where bad arrays raise."""
    figure.canvas.draw()
    return figure.axes


def test_image_grid_keeps_rows_and_columns():
    images = np.random.default_rng(0).random((2, 3, 5, 7, 1))
    (axes,) = drawn(
        plots.image_grid(images, ["a", "b"], title="t", column_titles=["c", "d", "e"])
    )
    for row in range(2):
        for column in range(3):
            found = cell(axes, row, column, 5, 7)
            np.testing.assert_allclose(found, images[row, column, ..., 0], rtol=1e-6)
    sheet = axes.images[0].get_array()
    assert (
        sheet.shape == (11, 23) and np.all(sheet[5] == 1) and np.all(sheet[:, 7] == 1)
    )
    # Labels stand at the middle of their rows and columns.
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert list(axes.get_yticks()) == [2, 8] and list(axes.get_xticks()) == [3, 11, 19]


def test_completion_figure_hides_what_is_not_visible():
    rng = np.random.default_rng(0)
    images, completions = rng.random((2, 4, 6, 1)), rng.random((2, 3, 4, 6, 1))
    visible = np.zeros((4, 6), bool)
    visible[:1, 2:] = True
    (axes,) = drawn(plots.completion_figure(images, visible, completions, "t"))
    shown = cell(axes, 1, 1, 4, 6)
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    equal(shown[visible], images[1, ..., 0][visible])
    assert np.all(shown[~visible] == 0.5)
    equal(cell(axes, 1, 0, 4, 6), images[1, ..., 0])
    equal(cell(axes, 1, 4, 4, 6), completions[1, 2, ..., 0])
    # A mask of its own for each image.
    both = np.stack([visible, ~visible])
    (axes,) = drawn(plots.completion_figure(images, both, completions))
    assert np.all(cell(axes, 1, 1, 4, 6)[visible] == 0.5)


def test_attention_figure_shows_multiples_of_uniform_and_marks_the_query():
    images = np.zeros((2, 8, 12, 3), "float32")
    maps = np.random.default_rng(0).random((2, 4, 6, 2, 3))
    maps /= maps.sum(axis=(-2, -1), keepdims=True)
    *axes, bar = drawn(plots.attention_figure(images, maps, [(0, 0), (3, 5)]))
    assert len(axes) == 6 and bar.get_ylabel() == "times uniform"
    # The map of query (3, 5) of the second image: six keys, so 1/6 is uniform.
    np.testing.assert_allclose(
        axes[5].images[0].get_array(), 6 * maps[1, 3, 5], rtol=1e-6
    )
    # Query cell (3, 5) of 4×6 covers rows 6-7 and columns 10-11 of the image of 8×12,
    # with its middle at (6.5, 10.5), and ends at the corner of the map of 2×3.
    assert [line.get_data() for line in axes[3].lines[2:3]] == [([10.5], [6.5])]
    np.testing.assert_allclose(np.ravel(axes[5].lines[0].get_data()), [2.25, 1.25])
    # One color scale for all maps.
    limits = {axes[i].images[0].get_clim() for i in (1, 2, 4, 5)}
    (limit,) = limits
    assert limit == pytest.approx((0, max(2, 6 * maps[:, [0, 3], [0, 5]].max())))


def test_uniform_attention_is_not_drawn_as_if_it_were_sharp():
    maps = np.full((1, 4, 4, 7, 7), 1 / 49)
    *axes, _ = drawn(plots.attention_figure(np.zeros((1, 28, 28, 1)), maps, [(1, 1)]))
    drawn_map = axes[1].images[0]
    np.testing.assert_allclose(drawn_map.get_array(), 1, rtol=1e-6)
    assert drawn_map.get_clim() == (0, 2)


def test_attention_figure_chooses_places_on_a_map_of_any_size():
    """14×14 gives (3, 7), (7, 4), (7, 10), (11, 7); 4×6 gives (0, 3), (2, 1), ..."""
    for map_h, map_w, expected in (
        (14, 14, [(3, 7), (7, 4), (7, 10), (11, 7)]),
        (4, 6, [(0, 3), (2, 1), (2, 4), (3, 3)]),
    ):
        maps = np.random.default_rng(0).random((1, map_h, map_w, 2, 3))
        *axes, _ = drawn(plots.attention_figure(np.zeros((1, 28, 28, 1)), maps))
        assert len(axes) == 5
        for (row, col), axis in zip(expected, axes[1:], strict=True):
            found = axis.images[0].get_array()
            np.testing.assert_allclose(
                found / found.mean(), maps[0, row, col] / maps[0, row, col].mean()
            )


def test_weight_figure():
    images = np.zeros((2, 8, 12, 1), "float32")
    maps = np.random.default_rng(0).random((2, 3, 4, 6))
    *axes, _ = drawn(plots.weight_figure(images, maps, column_titles=["a", "b", "c"]))
    assert len(axes) == 8 and axes[1].get_title() == "a"
    np.testing.assert_allclose(
        axes[6].images[0].get_array(), maps[1, 1] / maps[1, 1].mean()
    )


def test_images_are_large_enough_to_be_seen():
    """At 100 dots per inch, at least 96 pixels wide."""
    images = np.zeros((1, 2, 28, 28, 1))
    for figure, index in (
        (plots.image_grid(images), 0),
        (plots.attention_figure(images[0], np.ones((2, 14, 14, 7, 7))), 0),
        (plots.weight_figure(images[0], np.ones((2, 3, 14, 14))), 1),
    ):
        axes = drawn(figure)[index]
        assert figure.dpi == 100
        shown = 2 if len(figure.axes) == 1 else 1  # images in one axes
        assert axes.get_window_extent().width / shown >= 96


def test_heatmaps_write_numbers_into_few_cells_and_share_a_scale():
    *axes, _ = drawn(
        plots.heatmaps({"a": np.eye(3), "b": 4 * np.ones((2, 5))}, "key", "query")
    )
    assert [a.get_title() for a in axes] == ["a", "b"]
    assert axes[0].get_xlabel() == "key" and axes[0].get_ylabel() == "query"
    assert {a.images[0].get_clim() for a in axes} == {(0, 4)}
    texts = [text.get_text() for text in axes[0].texts]
    assert texts == [f"{value:.2f}" for value in np.eye(3).ravel()]
    *axes, _ = drawn(plots.heatmaps({"a": -np.eye(9)}, "key", "query"))
    assert axes[0].images[0].get_clim() == (-1, 1) and not axes[0].texts


def test_diagram_connects_the_boxes_it_names():
    boxes = {"image": (0, 0), "code": (2, 1)}
    (axes,) = drawn(plots.diagram(boxes, [("image", "code", "encoder")], "t"))
    *_, arrow = axes.patches
    np.testing.assert_allclose(arrow._posA_posB, [(0, 0), (2, 1)])
    assert {text.get_text() for text in axes.texts} == {"image", "code", "encoder"}
    with pytest.raises(ValueError, match=r"Received: \['noise'\]"):
        plots.diagram(boxes, [("noise", "code")])


def test_curves():
    axes = drawn(plots.curves({"a": [3, 1], "b": ([5, 9], [2, 4])}, "x", "y", "t"))[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2], [5, 9]]
