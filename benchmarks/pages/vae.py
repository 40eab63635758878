"""docs/results/vae.md: the attention VAE."""

import re

from pages.blocks import nats, results, table

from tfattn.models import pretrained_results


def block():
    dynamic = pretrained_results("vae_mnist")
    static = results("vae_binarized_mnist")
    names = {"negative_elbo": "negative evidence lower bound"}
    for key in dynamic:
        if match := re.fullmatch(r"negative_log_likelihood_(\d+)", key):
            names[key] = f"importance-weighted bound, {match[1]} samples"
    minutes = [f"{run['training_seconds'] / 60:.0f}" for run in (dynamic, static)]
    rows = [[words, nats(dynamic[k]), nats(static[k])] for k, words in names.items()]
    for name, found in results("published")["binary_mnist_nats"].items():
        if "bound" in found.get("note", ""):
            cell = f"{found['dynamic']:.2f} ([published]({found['url']}))"
            rows.append([f"{name}: {found['note']}", cell, "–"])
    rows += [
        ["active latents", dynamic["active_units"], static["active_units"]],
        ["epochs", dynamic["epochs"], static["epochs"]],
        [f"minutes of training on {dynamic['machine']}", *minutes],
    ]
    throughput = results("vae_throughput")
    ratio = throughput["ratio"]
    speed = throughput["images_per_second"]["tfattn"]["median"]
    return [
        *table(["", "dynamic binarization", "static binarization"], rows),
        "",
        f"Protocol of the dynamic column: {dynamic['protocol']}. Of the static column: "
        f"{static['protocol']}.",
        "",
        *_by_class(dynamic, names),
        "",
        "## Speed of training",
        "",
        f"The VAE trains on {speed:.0f} images a second. This is {ratio['median']:.2f} "
        f"times ({ratio['lowest']:.2f} to {ratio['highest']:.2f}) the speed of the "
        "same network in a hand-written `train_step`. Protocol: "
        f"{throughput['protocol']}.",
    ]


def _by_class(without, names):
    """What the class of an image is worth, and whether it is obeyed."""
    by_class = pretrained_results("vae_mnist_by_class")
    rows = [
        [words, nats(without[k]), nats(by_class[k])]
        for k, words in names.items()
        if k in by_class
    ]
    others = by_class["negative_elbo_of_other_classes"]
    rows += [["negative evidence lower bound, given a wrong class", "–", nats(others)]]
    for key, words in (
        ("recognized", "generated images recognized by `classifier_mnist`"),
        ("recognized_real", "test images recognized by `classifier_mnist`"),
    ):
        found = by_class[key]
        share = "{value:.2%} ({low:.2%} to {high:.2%})".format(**found)
        rows.append([words, "–", f"{share}, {found['num_images']} images"])
    rows.append(["epochs", without["epochs"], by_class["epochs"]])
    gain = without["negative_elbo"]["value"] - by_class["negative_elbo"]["value"]
    return [
        "## By class",
        "",
        "`vae_mnist_by_class` has the same widths and also reads the class of each "
        "image, in its encoder, its decoder and its prior: "
        f"{by_class['parameters']} parameters instead of {without['parameters']}. The "
        f"two evidence lower bounds differ by {gain:.2f} nats. For exact likelihoods "
        "of one model and ten equally frequent classes, the difference is at most "
        "log 10 = 2.30 nats. Here two trained models are compared, by bounds with "
        "different gaps.",
        "",
        *table(["", "without the class", "given the class"], rows),
        "",
        f"Protocol of the last column: {by_class['protocol']}.",
        "",
        "![Generated digits, a row for each class, a column for each noise]"
        "(../digits_by_class.png)",
    ]
