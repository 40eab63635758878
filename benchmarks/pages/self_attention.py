"""docs/results/self_attention.md: memory and time of the layer."""

from pages.blocks import results, table

METHODS = {
    "chunked": '`SelfAttention2D`, `chunk_size="auto"`',
    "plain": "`SelfAttention2D`, `chunk_size=None`: the whole map",
    "keras dpa": "`keras.ops.dot_product_attention`",
    "keras mha": "`keras.layers.MultiHeadAttention`",
    "snippet": "the widely copied snippet",
    "torch sdpa": "PyTorch's `scaled_dot_product_attention`",
    "floor": "the matrix products of the whole map alone",
}


def training_steps():
    """The measured forward and backward passes, by method, mode and side."""
    return {
        (case["method"], case["mode"], case["side"]): case
        for case in results("self_attention")["cases"]
        if case["pass"] == "forward+backward"
    }


def block():
    measured, cases = results("self_attention"), training_steps()

    def cell(method, mode):
        case = cases.get((method, mode, 64))
        if case is None:
            return "–"
        memory, time = case["peak_mib"], case["milliseconds"]
        return (
            f"{memory['median']:.0f} MiB, {time['median']:.0f} ms "
            f"({time['lowest']:.0f} to {time['highest']:.0f})"
        )

    modes = ("graph", "XLA", "eager")
    profile = results("self_attention_profile")
    time = {name: row["median"] for name, row in profile["milliseconds"].items()}
    # A forward and a backward pass have a softmax each.
    softmaxes = sum(
        time[f"{name}, up to softmax"] - time[f"{name}, up to scores"]
        for name in ("forward", "backward")
    )
    least = time["a square product of as many multiplications"] + softmaxes
    memory = [
        f"{cases[method, 'graph', 128]['peak_mib']['median']:.0f} MiB"
        for method in ("chunked", "plain")
    ]
    return [
        *table(
            ["", *modes],
            [
                [words, *(cell(method, mode) for mode in modes)]
                for method, words in METHODS.items()
            ],
        ),
        "",
        f"On a 128×128 map of one image, the chunks need {memory[0]} and the whole map "
        f"{memory[1]}. TensorFlow on {measured['machine']}. Protocol: "
        f"{measured['protocol']}.",
        "",
        "## How close to the limit",
        "",
        "Timed in turn in one process, without the projections, a training step on the "
        f"64×64 map takes {time['chunked form']:.0f} ms in chunks and "
        f"{time['plain form']:.0f} ms with the whole map. The matrix products of the "
        f"whole map alone take {time['its matrix products alone']:.0f} ms. One square "
        "matrix product with as many multiplications as the chunks need, which is the "
        "fastest shape for a processor, takes together with TensorFlow's two softmaxes "
        f"{least:.0f} ms. That is {least / time['plain form']:.2f} of the time of the "
        "whole map, and about the least that the chunks could take "
        "(`benchmarks/self_attention_profile.py`).",
        "",
        "![Memory and time of a training step by the size of the map]"
        "(../self_attention.png)",
    ]
