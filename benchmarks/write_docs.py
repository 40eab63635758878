"""Writes README's tables, docs/results and the notebooks' runtimes, and draws pictures.

python benchmarks/write_docs.py [--no-pictures]

Every number comes from a results file: benchmarks/results, notebooks/results or
tfattn/weights.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from pages import (
    captioner,
    completion,
    features,
    flow,
    gan,
    kills,
    mutation,
    notebooks,
    own_pictures,
    readme,
    self_attention,
    transformer,
    vae,
)
from pages.blocks import ROOT, with_block
from super_resolution import repeated

from tfattn import data, plots
from tfattn.data import avatars, masks, number_words
from tfattn.evaluation.baselines import ridge_regression, with_mirror_images
from tfattn.models import load_pretrained
from tfattn.training.runs import write_figure

# The blocks of each page.
PAGES = {
    "README.md": {
        "first run": readme.first_run,
        "systems": readme.systems,
        "course": readme.course,
    },
    "docs/command.md": {"interruptions": kills.block},
    "docs/mutation.md": {"mutants": mutation.block},
    "docs/own_pictures.md": {
        "sizes": own_pictures.sizes_block,
        "folders": own_pictures.folders_block,
    },
    "docs/python.md": {"features": features.block},
    "docs/results/captioner.md": {"results": captioner.block},
    "docs/results/completion.md": {"results": completion.block},
    "docs/results/flow.md": {"results": flow.block},
    "docs/results/gan.md": {"results": gan.block},
    "docs/results/self_attention.md": {"results": self_attention.block},
    "docs/results/transformer.md": {"results": transformer.block},
    "docs/results/vae.md": {"results": vae.block},
}


def written(page):
    """The text of a page with its blocks written anew."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, block in PAGES[page].items():
        text = with_block(text, name, "\n".join(block()))
    return text


def _sheet(images):
    """Images (rows, columns, h, w, c) as one, with a white line around each."""
    padded = np.pad(images, [(0, 0)] * 2 + [(1, 1)] * 2 + [(0, 0)], constant_values=1)
    rows, columns, h, w, channels = padded.shape
    return padded.swapaxes(1, 2).reshape(rows * h, columns * w, channels)


def overview():
    """What the models of the package generate, in one figure."""
    digits, clothes = load_pretrained("gan_mnist"), load_pretrained("gan_fashion_mnist")
    writer, texts = (
        load_pretrained("transformer_words"),
        ["four two", "nine five", "one eight"],
    )
    labels = np.arange(20) % 10
    faces = data.load("olivetti").x_test[[3, 88]]
    visible = masks.draw("lower_half", 1, faces.shape[1:3])[0]
    completions = load_pretrained("completion_olivetti").complete(
        faces, visible, num_samples=3, seed=0
    )
    shown = np.where(visible[..., None], faces, 0.5)[:, None]
    sentences = avatars.sentences(avatars.draw_attributes(20, seed=5))
    drawn = load_pretrained("flow_avatars").generate(20, sentences, seed=0)
    panels = {
        "GAN: a digit of each class": _sheet(
            digits.generate(20, labels, seed=1).reshape(4, 5, 28, 28, 1)
        ),
        "GAN: clothes of each class": _sheet(
            clothes.generate(20, labels, seed=1).reshape(4, 5, 28, 28, 1)
        ),
        "flow: avatars from sentences": _sheet(drawn.reshape(4, 5, 32, 32, 3)),
        "Transformer: “four two”, “nine five”, “one eight”": _sheet(
            writer.generate(9, np.repeat(texts, 3), seed=0).reshape(3, 3, 28, 56, 1)
        ),
        "inpainting: the hidden half of a face, three times": _sheet(
            np.concatenate([shown, completions], axis=1)
        ),
    }
    figure = Figure(figsize=(10, 5.9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.06, 1])
    grid = [*above.subplots(1, 3), *below.subplots(1, 2)]
    for axes, (title, image) in zip(grid, panels.items(), strict=True):
        gray = image.squeeze(-1) if image.shape[-1] == 1 else image
        axes.imshow(gray, "gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    return figure


def digits_enlarged():
    """Four digits, made smaller by two factors, and three answers to each."""
    model = load_pretrained("transformer_mnist_coarse_to_fine")
    x = data.binarize(data.load("mnist").x_test[:4], seed=0)
    h, w = x.shape[1:3]
    images, titles = [x[:, None]], ["image"]
    for factor in (4, 2):
        visible = np.zeros((h, w), bool)
        visible[::factor, ::factor] = True
        small = repeated(x, factor)[:, None]
        images += [small, model.complete(x, visible, num_samples=3, seed=0)]
        titles += [f"{h // factor}×{w // factor}", "1", "2", "3"]
    return plots.image_grid(np.concatenate(images, axis=1), column_titles=titles)


def pictures():
    """The pictures of README and of docs/results, by the name of their file."""
    vae, transformer, writer = (
        load_pretrained(name)
        for name in ("vae_mnist", "transformer_mnist", "transformer_words")
    )
    yield "overview", overview()
    samples = vae.generate(20, seed=0).reshape(2, 10, *vae.image_shape)
    yield "samples", plots.image_grid(samples)
    by_class = load_pretrained("vae_mnist_by_class")
    rows = [by_class.generate(10, np.full(10, digit), seed=0) for digit in range(10)]
    yield "digits_by_class", plots.image_grid(np.stack(rows))
    x = data.binarize(data.load("mnist").x_test[:3], seed=0)
    yield (
        "attention",
        plots.attention_figure(vae.reconstruct(x), vae.attention_maps(x)),
    )
    visible = np.indices(x.shape[1:3])[0] < x.shape[1] // 2
    completions = transformer.complete(x, visible, num_samples=8, seed=0)
    yield "completions", plots.completion_figure(x, visible, completions)
    yield "digits_enlarged", digits_enlarged()
    faces = data.load("olivetti")
    x = faces.x_test[[3, 25, 47, 62, 88]]
    visible = masks.draw("lower_half", 1, x.shape[1:3])[0]
    both = with_mirror_images(faces.x_train)
    model = load_pretrained("completion_olivetti")
    answers = [
        ridge_regression(both, x, visible),
        model.complete(x, visible, num_samples=6, seed=0),
    ]
    titles = ["ridge regression", *(f"sample {i + 1}" for i in range(6))]
    yield (
        "faces",
        plots.completion_figure(
            x, visible, np.concatenate(answers, axis=1), column_titles=titles
        ),
    )
    texts = number_words.names_of(number_words.HELD_OUT_PAIRS[::4])
    written = writer.generate(30, texts.repeat(6), seed=0)
    sheet = written.reshape(5, 6, *written.shape[1:])
    yield "words_to_digits", plots.image_grid(sheet, list(texts), cell_size=1.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-pictures", action="store_true")
    for page in PAGES:
        (ROOT / page).write_text(written(page), encoding="utf-8")
    notebooks.write_notebooks()
    if not parser.parse_args().no_pictures:
        for name, figure in pictures():
            write_figure(ROOT / "docs" / f"{name}.png", figure)
