import numpy as np
import pytest
from PIL import Image

from tfattn.data import pictures
from tfattn.data.pasting import paste

TURNED = 0x0112


def picture_of(path, size, mode, **arguments):
    """A picture file of random pixels, and what it holds."""
    h, w = size
    channels = len(Image.new(mode, (1, 1)).getbands())
    levels = np.random.default_rng(0).integers(0, 256, (h, w, channels), "uint8")
    picture = Image.fromarray(levels.squeeze(-1) if channels == 1 else levels, mode)
    picture.save(path, **arguments)
    return np.asarray(picture)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(30, 50), (61, 44), (12, 16)])
def test_visible_pixels_stay_and_hidden_ones_are_answered(
    size, channels, mode, tmp_path
):
    path = tmp_path / "picture.png"
    before = picture_of(path, size, mode)
    visible = np.zeros((12, 16), bool)
    visible[:5] = True
    answers = np.stack([np.full((12, 16, channels), level) for level in (0.2, 0.8)])
    pasted, words = paste(answers, visible, "upper_half", path)
    assert f"put back at {size[1]}×{size[0]} pixels" in words
    # What a grid of 12 rows and 16 columns covers about the middle, by loops.
    zoom = min(size[0] / 12, size[1] / 16)
    hidden = np.zeros(size, bool)
    for row in range(size[0]):
        for col in range(size[1]):
            i = (row + 0.5 - (size[0] - 12 * zoom) / 2) / zoom
            j = (col + 0.5 - (size[1] - 16 * zoom) / 2) / zoom
            if 0 <= i < 12 and 0 <= j < 16:
                hidden[row, col] = not visible[int(i), int(j)]
    for picture, level in zip(pasted, (51, 204), strict=True):
        after = np.asarray(picture)
        np.testing.assert_array_equal(after[~hidden], before[~hidden])
        answered = after[hidden].reshape(hidden.sum(), -1)
        colors = answered[:, : 1 if mode in ("L", "LA") else 3]
        np.testing.assert_array_equal(colors, level)
        if mode in ("LA", "RGBA"):
            np.testing.assert_array_equal(answered[:, -1], 255)


def test_an_image_comes_back_to_where_it_was_cut_out(tmp_path):
    """The answer is the image itself: what is pasted is the picture, but blurred."""
    rows, cols = np.mgrid[0:90, 0:120]
    levels = (127 + 60 * np.sin(rows / 17) + 60 * np.cos(cols / 13)).astype("uint8")
    path = tmp_path / "smooth.png"
    Image.fromarray(levels).save(path)
    image, _ = pictures.read_picture(path, (45, 45, 1))
    (pasted,), _ = paste(image[None], np.zeros((45, 45), bool), "center", path)
    found = np.asarray(pasted).astype(int)
    assert np.abs(found - levels)[3:-3, 18:-18].max() <= 3
    np.testing.assert_array_equal(found[:, :15], levels[:, :15])
    np.testing.assert_array_equal(found[:, -15:], levels[:, -15:])


def test_a_mask_of_the_picture_hides_pixel_by_pixel(tmp_path):
    """Of a picture that its camera has turned, its mask stored as it is, or upright."""
    exif = Image.Exif()
    exif[TURNED] = 6  # the top of the picture is at its right
    path = tmp_path / "turned.png"
    stored = picture_of(path, (40, 60), "L", exif=exif)
    upright = np.rot90(stored, -1)
    white = np.full((60, 40), 255, "uint8")
    white[20:33, 11:18] = 0
    masks_of = {"upright": white, "stored": np.rot90(white)}
    for name, levels in masks_of.items():
        mask = tmp_path / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(levels)).save(mask)
        visible, _ = pictures.read_mask(str(mask), (15, 10), path)
        answer = np.full((1, 15, 10, 1), 0.6)
        (pasted,), _ = paste(answer, visible, str(mask), path)
        expected = np.where(white == 0, 153, upright)
        np.testing.assert_array_equal(np.asarray(pasted), expected)


def test_what_is_hidden_outside_of_the_cut_stays(tmp_path):
    path, mask = tmp_path / "wide.png", tmp_path / "mask.png"
    before = picture_of(path, (20, 60), "L")
    white = np.full((20, 60), 255, "uint8")
    white[5:15] = 0
    Image.fromarray(white).save(mask)
    visible, _ = pictures.read_mask(str(mask), (10, 10), path)
    (pasted,), _ = paste(np.full((1, 10, 10, 1), 0.6), visible, str(mask), path)
    expected = before.copy()
    expected[5:15, 20:40] = 153
    np.testing.assert_array_equal(np.asarray(pasted), expected)


def test_other_modes_are_made_gray_or_colored(tmp_path):
    levels = np.full((20, 30), 40_000, "uint16")
    Image.fromarray(levels).save(tmp_path / "deep.png")
    Image.new("CMYK", (30, 20), (10, 20, 30, 40)).save(tmp_path / "print.tif")
    visible = np.zeros((4, 6), bool)
    visible[:2] = True
    for name, mode in (("deep.png", "L"), ("print.tif", "RGB")):
        (pasted,), words = paste(
            np.zeros((1, 4, 6, 1)), visible, "upper_half", tmp_path / name
        )
        assert pasted.mode == mode and f"made {mode} of 8 bits" in words
        assert np.asarray(pasted)[:10].min() > 0 == np.asarray(pasted)[10:].max()
