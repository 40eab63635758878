"""docs/results/transformer.md: the image Transformer."""

from pages.blocks import interval, nats, results, share, table

from tfattn.cli.systems.transformer import JUDGES
from tfattn.models import pretrained_results
from tfattn.models.transformer.decoder import MOST_ROWS_AS_PRODUCT

WAYS = {
    "with cache": "`generate`, with the cache of keys and values",
    "without cache": "`generate(use_cache=False)`, which recomputes the sequence",
    "keras-hub, with cache": "keras-hub's cached decoding of a decoder of equal size",
    "one predict per token": "one `predict` per token, as in Keras's PixelCNN example",
}


def block():
    return [*_likelihoods(), "", *_sampling(), "", *_words(), "", *_enlarged()]


def _likelihoods():
    runs = dynamic, static = [
        pretrained_results("transformer_mnist"),
        results("transformer_binarized_mnist"),
    ]
    rows = [
        ["image Transformer", *(nats(run["negative_log_likelihood"]) for run in runs)],
        ["bits per dimension", *(f"{run['bits_per_dimension']:.4f}" for run in runs)],
        ["epochs", *(run["epochs"] for run in runs)],
        [
            f"minutes of training on {dynamic['machine']}, bfloat16",
            *(f"{run['training_seconds'] / 60:.0f}" for run in runs),
        ],
    ]
    for name, found in results("published")["binary_mnist_nats"].items():
        if "bound" in found.get("note", ""):
            continue  # bounds are compared on the VAE's page
        cells = [
            f"{found[kind]:.2f} ([published]({found['url']}))" if kind in found else "–"
            for kind in ("dynamic", "static")
        ]
        note = f" ({found['note']})" if "note" in found else ""
        rows.append([f"{name}{note}", *cells])
    return [
        *table(["", "dynamic binarization", "static binarization"], rows),
        "",
        f"Protocol of the dynamic column: {dynamic['protocol']}. Of the static column: "
        f"{static['protocol']}. The model has {dynamic['parameters']} parameters.",
    ]


def _sampling():
    sampling, training = (
        results("transformer_sampling"),
        results("transformer_training"),
    )
    vectors = [
        [
            found["order"].replace("_", " "),
            found["levels"],
            found["rows"],
            "{median:.2f} ({lower:.2f} to {upper:.2f})".format(**found["ratio"]),
        ]
        for found in training["input_vectors"]["tables"]
    ]
    ratio, memory = training["ratio"], training["peak_memory_mib"].values()
    rows = [
        [
            words,
            f"{sampling['seconds'][way]:.2f}",
            f"{sampling['times_the_cached'][way]:.1f}",
        ]
        for way, words in WAYS.items()
    ]
    return [
        "## Speed",
        "",
        *table(["sampling 64 images", "seconds", "relative to the cached loop"], rows),
        "",
        f"Protocol: {sampling['protocol']}; the last column is the median of the "
        "ratios of each round. Compilations of the loop with the cache: "
        f"{sampling['compilations_with_cache']}; "
        f"{sampling['equal_pixels_with_and_without_cache']:.2%} of the pixels are "
        "equal with and without it.",
        "",
        f"A training step takes {ratio['median']:.2f} times ({ratio['lower']:.2f} to "
        f"{ratio['upper']:.2f}) as long as a step of the same network made of Keras's "
        "own layers. It needs {:.0f} MiB, the other {:.0f} MiB. ".format(*memory)
        + f"Protocol: {training['protocol']}.",
        "",
        "The vector of a token is a sum of embeddings of its neighbors. Where their "
        f"tables have at most {MOST_ROWS_AS_PRODUCT} rows together, it is computed as "
        "a product with one-hot vectors. A training step in this way, relative to one "
        "with look-ups:",
        "",
        *table(["order", "levels of a pixel", "rows", "time of a step"], vectors),
        "",
        f"Protocol: {training['input_vectors']['protocol']}.",
    ]


def _words():
    writing = pretrained_results("transformer_words")
    rows = [
        [
            f"`{judge}`",
            *(
                share(writing[f"recognized_{kind}_by_{judge}"])
                for kind in ("generated", "real")
            ),
        ]
        for judge in JUDGES
    ]
    texts = writing[f"recognized_generated_by_{JUDGES[0]}"]["num_images"]
    return [
        "## Words to digits",
        "",
        "`transformer_words` reads two number words and writes both digits. Training "
        f"never shows some pairs of digits; the {texts} texts below are of such pairs. "
        "A classifier says whether both digits are right:",
        "",
        *table(["classifier", "generated images", "real images"], rows),
        "",
        "Negative log-likelihood in nats per image: "
        f"{nats(writing['negative_log_likelihood'])}. Protocol: {writing['protocol']}; "
        f"temperature 1. The model has {writing['parameters']} parameters and was "
        f"trained for {writing['epochs']} epochs, "
        f"{writing['training_seconds'] / 60:.0f} minutes on {writing['machine']}, "
        "bfloat16.",
        "",
        "![Images generated for texts of held-out pairs](../words_to_digits.png)",
        "",
        "## Completions",
        "",
        "![Three digits, their upper halves and eight completions of each]"
        "(../completions.png)",
    ]


def _enlarged():
    """Small digits that a Transformer enlarges."""
    found = results("super_resolution")
    of_run = pretrained_results("transformer_mnist_coarse_to_fine")
    raster = pretrained_results("transformer_mnist")
    lines = [
        "## Super-resolution",
        "",
        "`transformer_mnist_coarse_to_fine` samples every fourth pixel in both "
        "directions first, then the pixels between them that complete every second "
        "one, then the others. So it enlarges images of 7×7 or 14×14 pixels to 28×28. "
        "It samples as many versions as you ask for, and keeps the given pixels.",
        "",
    ]
    for factor, of_factor in found["factors"].items():
        size = 28 // int(factor)
        missing = of_factor["nats_of_hidden"]
        lines += [
            *_answers(f"{size}×{size} to 28×28", of_factor["ways"]),
            "",
            "Negative log-likelihood of the missing pixels, given the others: "
            f"{interval(missing)} nats.",
            "",
        ]
    itself = found["recognized_of_the_images_themselves"]
    return [
        *lines,
        f"Of the images themselves, {share(itself)} are recognized. Protocol: "
        f"{found['protocol']}. The model has {of_run['parameters']} parameters and was "
        f"trained for {of_run['epochs']} epochs, "
        f"{of_run['training_seconds'] / 60:.0f} minutes on {of_run['machine']}. Its "
        "negative log-likelihood of whole images is "
        f"{nats(of_run['negative_log_likelihood'])}, in nats per image; that of "
        f"`transformer_mnist`, trained for {raster['epochs']} epochs, is "
        f"{raster['negative_log_likelihood']['value']:.2f}.",
        "",
        "![Digits of 7×7 and 14×14 pixels, and three enlarged versions of each]"
        "(../digits_enlarged.png)",
    ]


def _answers(what, ways):
    """The measures of `benchmarks/answers.py`."""
    rows = []
    for name, measured in ways.items():
        draws = measured["num_samples"] > 1
        rows.append(
            [
                name,
                interval(measured["psnr"]),
                interval(measured["ssim"], 3),
                f"{measured['psnr_of_one']['value']:.2f}" if draws else "–",
                interval(measured["best_psnr"]) if draws else "–",
                share(measured["recognized"]),
                share(measured["recognized_by_most"]) if draws else "–",
            ]
        )
    return table(
        [
            what,
            "PSNR of the mean",
            "SSIM of the mean",
            "PSNR of one sample",
            f"PSNR, best of {max(m['num_samples'] for m in ways.values())}",
            "recognized",
            "recognized by most samples",
        ],
        rows,
    )
