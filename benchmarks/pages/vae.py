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
        "## Speed of training",
        "",
        f"The VAE trains on {speed:.0f} images a second. This is {ratio['median']:.2f} "
        f"times ({ratio['lowest']:.2f} to {ratio['highest']:.2f}) the speed of the "
        "same network in a hand-written `train_step`. Protocol: "
        f"{throughput['protocol']}.",
    ]
