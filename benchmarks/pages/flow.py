"""docs/results/flow.md: guidance, few steps, likelihood and speed of the flow."""

from pages.blocks import interval, range_of_draws, results, table
from pages.gan import COLUMNS, DATA_WORDS, MEASURES

WORDS = {
    "tfattn": "`AttentionFlow`",
    "Keras's attention": "the same with Keras's attention layer",
    "PyTorch": "the same network in PyTorch",
    "PyTorch, compiled": "the same by `torch.compile`",
}
# Where a method looks in a step, in steps.
STAGES = {"euler": (0,), "heun": (0, 1)}


def block():
    measured, judged = results("flow"), results("generation_quality")["rows"]
    lines = []
    for name, words in DATA_WORDS.items():
        if name in measured:
            lines += _of_data(measured[name], judged[name], words)
    return [
        *lines,
        f"Protocol: {measured['protocol']}. {measured['machine']}.",
        "",
        *_speed(),
    ]


def _speed():
    """A training step beside PyTorch's and beside Keras's attention layer."""
    measured = results("flow_throughput")
    rows = []
    for kind, of_kind in measured["steps"].items():
        ratio = of_kind["time_of_tfattn_over_it"]
        rows.append(
            [
                WORDS[kind],
                f"{of_kind['milliseconds']:.0f}",
                f"{ratio['median']:.2f} ({ratio['lower']:.2f} to {ratio['upper']:.2f})",
                f"{of_kind['peak_mebibytes_above_start']:.0f}",
            ]
        )
    losses = measured["losses_on_the_same_paths"]
    return [
        "## Speed",
        "",
        *table(["training step", "ms", "tfattn's time over it", "MiB"], rows),
        "",
        "The networks are the same: with copied weights their losses on the same paths "
        f"are {losses['tfattn']:.6f} and {losses['PyTorch']:.6f}. "
        f"Protocol: {measured['protocol']}; MiB: how far the memory of a process rises "
        f"above what it has before the first step. {measured['machine']}, "
        + ", ".join(f"{name} {words}" for name, words in measured["versions"].items())
        + ".",
    ]


def _of_data(found, judged, words):
    chosen, steps, reflow = found["choice"]["chosen"], found["steps"], found["reflow"]
    guidance = chosen["guidance"]
    floor = judged["real training images"]
    gan = judged["self-attention GAN, temperature 1"]
    peers = {"real training images (the floor)": floor, "self-attention GAN": gan}
    of_peers = [[row, "–", *_cells(peers[row])] for row in peers]
    of_flow = [
        [f"flow, {_settings(row)}", _passes(row), *_cells(row)]
        for row in found["quality"]
    ]
    few_steps = [
        [
            training,
            row["num_steps"],
            _passes({**chosen, **row, "guidance": weight}),
            *_cells(row)[:1],
            # Reflow changes the weights, and not the speed of a pass.
            f"{row['images_per_second']:.0f}" if rows is steps else "–",
        ]
        for training, weight, rows in (
            ("flow", guidance, steps),
            ("after reflow", 1.0, reflow["rows"]),
        )
        for row in rows
    ]
    bits = found["likelihood"]["bits_per_dimension_by_steps"]
    return [
        f"## {words}",
        "",
        f"{found['epochs']} epochs of training, "
        f"{found['training_seconds'] / 60:.0f} minutes.",
        "",
        *table([words, "passes", *COLUMNS], [*of_peers, *of_flow]),
        "",
        "Few steps of Euler's method, with the same guidance; reflow learns the images "
        f"of the flow with guidance and needs none afterwards ({reflow['num_pairs']} "
        f"pairs, {reflow['epochs']} epochs):",
        "",
        *table(
            ["training", "steps", "passes", COLUMNS[0], "images a second"], few_steps
        ),
        "",
        "Bits per dimension of the test images, by the steps of Heun's method: "
        + ", ".join(f"{n} steps {interval(b, 3)}" for n, b in bits.items())
        + f".{_peers_in_bits() * (words == DATA_WORDS['mnist'])}",
        "",
    ]


def _peers_in_bits():
    peers = results("published")["mnist_bits_per_dimension"]
    found = [
        f"{name} reports {peers[name]['value']:.2f}"
        for name in peers
        if name != "protocol"
    ]
    return f" For comparison: {', '.join(found)}."


def _cells(row):
    return [range_of_draws(row.get(measure)) for measure in MEASURES]


def _settings(row):
    method = {"euler": "Euler's", "heun": "Heun's"}[row["solver"]]
    guided = f"guidance {row['guidance']:g}" if row["guidance"] != 1 else "no guidance"
    if row["guidance_interval"]:
        guided += " from t = {:g} to {:g}".format(*row["guidance_interval"])
    return f"{row['num_steps']} steps of {method} method, {guided}"


def _passes(row):
    """Passes through the network for an image: two wherever there is guidance."""
    n = row["num_steps"]
    times = [(i + stage) / n for i in range(n) for stage in STAGES[row["solver"]]]
    if row["guidance"] == 1:
        return len(times)
    first, last = row["guidance_interval"] or (0, 1)
    return len(times) + sum(first <= t <= last for t in times)
