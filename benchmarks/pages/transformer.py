"""docs/results/transformer.md: the image Transformer."""

from pages.blocks import nats, results, table

from tfattn.cli.systems.transformer import JUDGES
from tfattn.models import pretrained_results

WAYS = {
    "with cache": "`generate`, with the cache of keys and values",
    "without cache": "`generate(use_cache=False)`, which recomputes the sequence",
    "keras-hub, with cache": "keras-hub's cached decoding of a decoder of equal size",
    "one predict per token": "one `predict` per token, as in Keras's PixelCNN example",
}


def block():
    return [*_likelihoods(), "", *_sampling(), "", *_words()]


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
    ]


def _words():
    writing = pretrained_results("transformer_words")
    rows = [
        [f"`{judge}`"]
        + [
            "{value:.1%} ({low:.1%} to {high:.1%})".format(
                **writing[f"recognized_{kind}_by_{judge}"]
            )
            for kind in ("generated", "real")
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
