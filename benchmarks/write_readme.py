"""Writes README's table of results, and its pictures, from the results files.

python benchmarks/write_readme.py
"""

import json
import re
from pathlib import Path

import numpy as np
from blocks import with_block
from readme_completion import completion_lines

from tfattn import data, plots
from tfattn.cli.systems.gan import TEMPERATURE
from tfattn.cli.systems.transformer import JUDGES
from tfattn.data import masks, number_words
from tfattn.evaluation.baselines import ridge_regression, with_mirror_images
from tfattn.models import load_pretrained, pretrained_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
METHODS = {
    "chunked": '`SelfAttention2D`, `chunk_size="auto"`',
    "plain": "`SelfAttention2D`, `chunk_size=None`: the whole map",
    "keras dpa": "`keras.ops.dot_product_attention`",
    "keras mha": "`keras.layers.MultiHeadAttention`",
    "snippet": "the widely copied snippet",
    "torch sdpa": "PyTorch's `scaled_dot_product_attention`",
    "floor": "the plain form's matrix products alone",
}
DATA_WORDS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
GENERATION_ROWS = {
    "real training images": "real training images (the floor)",
    "noise 0.1": "the same, Gaussian noise σ = 0.1",
    "blur 1.0": "the same, blurred by 1 pixel",
    "without class 0": "real training images without class 0",
    "attention VAE": "attention VAE",
    "self-attention GAN": f"self-attention GAN, temperature {TEMPERATURE}",
    "self-attention GAN, temperature 1": "self-attention GAN, temperature 1",
}
SAMPLING_WAYS = {
    "with cache": "`generate`, with the cache",
    "without cache": "`generate(use_cache=False)`: everything again for each token",
    "keras-hub, with cache": "keras-hub's cached decoding, a decoder as large",
    "one predict per token": "one `predict` per token, as in the PixelCNN example",
}
PUBLISHED_LIKELIHOODS = {
    "ImageGPT, public reproduction": (79.17, None),
    "PixelSNAIL, public reproduction": (78.61, None),
    "LMConv": (77.56, None),
    "PixelCNN": (None, 81.30),
    "PixelRNN": (None, 79.20),
}
GENERATION_MEASURES = (
    "frechet_distance",
    "kernel_distance",
    "precision",
    "recall",
    "recognised",
)


def results_block():
    """The lines between README's two markers."""
    dynamic = pretrained_results("vae_mnist")
    static = json.loads((RESULTS / "vae_binarized_mnist.json").read_text())
    throughput = json.loads((RESULTS / "vae_throughput.json").read_text())
    speed = throughput["images_per_second"]["tfattn"]["median"]
    ratio = throughput["ratio"]
    lines = [
        "Attention VAE, negative log-likelihood bounds of the test set in nats per "
        "image (lower is better), with the 95 % interval over images:",
        "",
        "| | dynamic binarisation | static binarisation |",
        "|---|---|---|",
    ]
    names = {"negative_elbo": "evidence lower bound"}
    for key in dynamic:
        if match := re.fullmatch(r"negative_log_likelihood_(\d+)", key):
            names[key] = f"importance-weighted, {match[1]} samples"
    for key, words in names.items():
        lines.append(f"| {words} | {_cell(dynamic[key])} | {_cell(static[key])} |")
    for key, words in (("active_units", "active latents"), ("epochs", "epochs")):
        lines.append(f"| {words} | {dynamic[key]} | {static[key]} |")
    minutes = [f"{r['training_seconds'] / 60:.0f}" for r in (dynamic, static)]
    lines += [
        f"| minutes of training on {dynamic['machine']} | {' | '.join(minutes)} |",
        "",
        f"Protocols: {dynamic['protocol']}; {static['protocol']}. The two columns must "
        "not be compared with each other. Fewer than 10000 images are a seeded random "
        "subset, whose mean differs from that of all images by its sampling error.",
        "",
        f"Training speed: {speed:.0f} images/s, {ratio['median']:.2f} times "
        f"({ratio['lowest']:.2f} to {ratio['highest']:.2f}) that of the same network "
        f"in a custom `train_step` ({throughput['protocol']}).",
        "",
        f"Full runs of the notebooks on {dynamic['machine']}: {_notebook_minutes()}.",
        "",
        *_transformer(),
        "",
        *_generation(),
        "",
        *completion_lines(),
        "",
        *_self_attention(),
    ]
    return "\n".join(lines)


def _transformer():
    """Likelihoods beside published ones, ways and cost, words to digits."""
    runs = dynamic, static = [
        pretrained_results("transformer_mnist"),
        json.loads((RESULTS / "transformer_binarized_mnist.json").read_text()),
    ]
    lines = [
        "Image Transformer, exact negative log-likelihood of the test set in nats per "
        "image (lower is better), with the 95 % interval over images:",
        "",
        "| | dynamic binarisation | static binarisation |",
        "|---|---|---|",
    ]
    rows = {
        "image Transformer": [_cell(run["negative_log_likelihood"]) for run in runs],
        "bits per dimension": [f"{run['bits_per_dimension']:.4f}" for run in runs],
        "epochs": [run["epochs"] for run in runs],
        f"minutes of training on {dynamic['machine']}, bfloat16": [
            f"{run['training_seconds'] / 60:.0f}" for run in runs
        ],
        **{
            f"{name} (published)": ["–" if v is None else f"{v:.2f}" for v in values]
            for name, values in PUBLISHED_LIKELIHOODS.items()
        },
    }
    lines += [f"| {name} | {a} | {b} |" for name, (a, b) in rows.items()]
    sampling = json.loads((RESULTS / "transformer_sampling.json").read_text())
    lines += [
        "",
        f"Protocols: {dynamic['protocol']}; {static['protocol']}. The two columns must "
        f"not be compared with each other. {dynamic['parameters']} parameters.",
        "",
        "| drawing 64 images token by token | seconds | times the cached |",
        "|---|---|---|",
    ]
    for way, words in SAMPLING_WAYS.items():
        seconds, ratio = sampling["seconds"][way], sampling["times_the_cached"][way]
        lines.append(f"| {words} | {seconds:.2f} | {ratio:.1f} |")
    training = json.loads((RESULTS / "transformer_training.json").read_text())
    ratio, memory = training["ratio"], training["peak_memory_mib"].values()
    writing = pretrained_results("transformer_words")
    recognised = [
        "{value:.1%} ({low:.1%} to {high:.1%})".format(
            **writing[f"recognised_{kind}_by_{judge}"]
        )
        for judge in JUDGES
        for kind in ("generated", "real")
    ]
    return [
        *lines,
        "",
        f"Protocol: {sampling['protocol']}. Compilations of the loop with the cache: "
        f"{sampling['compilations_with_cache']}; "
        f"{sampling['equal_pixels_with_and_without_cache']:.2%} of the pixels are the "
        "same with and without it.",
        "",
        f"A training step takes {ratio['median']:.2f} times ({ratio['lower']:.2f} to "
        f"{ratio['upper']:.2f}) as long as one of the same network built of Keras's "
        "layers, and {:.0f} MiB where that takes {:.0f} ".format(*memory)
        + f"({training['protocol']}).",
        "",
        f"Words to digits: both digits are recognised in {recognised[0]} of the images "
        "generated for "
        f"{writing[f'recognised_generated_by_{JUDGES[0]}']['num_images']} texts of "
        f"pairs that training never shows, and in {recognised[1]} of real ones, by a "
        "classifier trained on black and white digits; the one trained on grey digits "
        f"recognises {recognised[2]} and {recognised[3]}. Negative log-likelihood: "
        f"{_cell(writing['negative_log_likelihood'])}, in nats per image. Protocol: "
        f"{writing['protocol']}; temperature 1. {writing['parameters']} parameters, "
        f"{writing['epochs']} epochs, {writing['training_seconds'] / 60:.0f} min on "
        f"{writing['machine']}, bfloat16.",
        "",
        "![Images drawn for texts of held-out pairs](docs/words_to_digits.png)",
        "",
        "![Three digits, their upper halves and eight completions of each]"
        "(docs/completions.png)",
    ]


def _generation():
    """Distances of generated images, beside what they are for real and spoiled ones."""
    measured = json.loads((RESULTS / "generation_quality.json").read_text())
    lines = [
        "Generated images on features of the frozen classifier (Fréchet classifier "
        "distance and kernel distance: lower is better; the rest: higher):",
    ]
    for name, rows in measured["rows"].items():
        floor = rows["real training images"]["frechet_distance"]["mean"]
        lines += [
            "",
            f"| {DATA_WORDS[name]} | Fréchet distance | / floor | kernel distance | "
            "precision | recall | recognised |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in GENERATION_ROWS:
            if row in rows:
                ratio = rows[row]["frechet_distance"]["mean"] / floor
                cells = [_draws(rows[row].get(m)) for m in GENERATION_MEASURES]
                cells.insert(1, f"{ratio:.2f}")
                lines.append(f"| {GENERATION_ROWS[row]} | {' | '.join(cells)} |")
    gan = pretrained_results("gan_mnist")
    throughput = json.loads((RESULTS / "gan_throughput.json").read_text())
    ratios = ", ".join(
        f"{ratio['median']:.2f} times ({ratio['lower']:.2f} to {ratio['upper']:.2f}) "
        f"in {name}"
        for name in ("float32", "bfloat16")
        for ratio in [throughput[name]["ratio"]]
    )
    speed = throughput["float32"]["sampled_images_per_second"]
    return [
        *lines,
        "",
        f"Protocol: {measured['protocol']}. Temperature {TEMPERATURE} was chosen after "
        "several had been scored on MNIST's test images; 1 is what the GANs were "
        f"trained at. Training on MNIST: {gan['epochs']} epochs, "
        f"{gan['training_seconds'] / 60:.0f} min on {gan['machine']}, bfloat16. "
        f"A training step with attention takes {ratios} as long as one without; "
        f"{speed:.0f} images are drawn in a second ({throughput['protocol']}).",
        "",
        "![Samples of the self-attention GAN](docs/gan_samples.png)",
        "",
        "![The distance grows with noise, blur, rotation and occlusion]"
        "(docs/generation_quality.png)",
    ]


def _draws(measure):
    """Mean and range over the draws, as many decimals as a small number needs."""
    if measure is None:
        return "–"
    decimals = 2 if measure["mean"] >= 1 else 4 if measure["mean"] < 0.1 else 3
    mean, lowest, highest = (
        f"{measure[key]:.{decimals}f}" for key in ("mean", "lowest", "highest")
    )
    return mean if lowest == highest else f"{mean} ({lowest} to {highest})"


def _self_attention():
    """Memory and time of a training step on a 64×64 map, of every peer."""
    measured = json.loads((RESULTS / "self_attention.json").read_text())
    cases = {
        (c["method"], c["mode"], c["side"]): c
        for c in measured["cases"]
        if c["pass"] == "forward+backward"
    }

    def cell(method, mode):
        case = cases.get((method, mode, 64))
        if case is None:
            return "–"
        memory, time = case["peak_mib"], case["milliseconds"]
        return (
            f"{memory['median']:.0f} MiB, {time['median']:.0f} ms "
            f"({time['lowest']:.0f} to {time['highest']:.0f})"
        )

    profile = json.loads((RESULTS / "self_attention_profile.json").read_text())
    time = {name: row["median"] for name, row in profile["milliseconds"].items()}
    # A forward and a backward pass have a softmax each.
    softmaxes = sum(
        time[f"{name}, up to softmax"] - time[f"{name}, up to scores"]
        for name in ("forward", "backward")
    )
    least = time["a square product of as many multiplications"] + softmaxes
    large = [cases[method, "graph", 128] for method in ("chunked", "plain")]
    memory = [f"{case['peak_mib']['median']:.0f} MiB" for case in large]
    return [
        "`SelfAttention2D` without the memory wall: forward and backward pass over a "
        "64×64 feature map of 4 images, 64 channels, keys not pooled:",
        "",
        "| | graph | XLA | eager |",
        "|---|---|---|---|",
        *(
            f"| {method}: {words} | "
            + " | ".join(cell(method, mode) for mode in ("graph", "XLA", "eager"))
            + " |"
            for method, words in METHODS.items()
        ),
        "",
        f"On a 128×128 map of one image: {memory[0]}, the whole map {memory[1]}. "
        f"TensorFlow on {measured['machine']}; {measured['protocol']}.",
        "",
        "Without the projections, timed in turn in one process, a training step on the "
        f"64×64 map takes {time['chunked form']:.0f} ms in chunks and "
        f"{time['plain form']:.0f} ms with the whole map, whose matrix products alone "
        f"take {time['its matrix products alone']:.0f} ms. One square product of as "
        "many multiplications as the chunks need, at which a processor is best, and "
        f"TensorFlow's two softmaxes take {least:.0f} ms, "
        f"{least / time['plain form']:.2f} of the whole map's time: about the least "
        "that the chunks could take (`benchmarks/self_attention_profile.py`).",
        "",
        "![Memory and time of a training step by the size of the map]"
        "(docs/self_attention.png)",
    ]


def _notebook_minutes():
    minutes = []
    for path in sorted((ROOT / "notebooks" / "results").glob("*.json")):
        result = json.loads(path.read_text())
        # Processor time, where it was measured, does not depend on other programs.
        kind = "cpu_seconds" if "cpu_seconds" in result else "seconds"
        words = "min of processor time" if kind == "cpu_seconds" else "min"
        minutes.append(f"{path.stem} {result[kind] / 60:.1f} {words}")
    return ", ".join(minutes)


def _cell(estimate):
    return (
        f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f}), "
        f"{estimate['num_images']} images"
    )


def _first_run():
    """What README's first command gives."""
    found = json.loads((RESULTS / "first_run.json").read_text())
    minutes = max(1, round(min(found["training_seconds"]) / 60))
    minutes = f"{minutes} minute{'s' * (minutes > 1)}"
    full = pretrained_results("vae_mnist")["negative_elbo"]["value"]
    return (
        f"The training takes about {minutes} on "
        f"{found['machine'].partition(',')[0]}. It ends with the negative evidence "
        f"lower bound of the test images: **{found['value']:.1f} nats**. Fewer is "
        f"better; the full training reaches {full:.1f}. Processors round differently, "
        f"so expect a value between {found['low']:.1f} and {found['high']:.1f} "
        f"(99 % prediction interval from {len(found['values'])} seeds)."
    )


def write_block(readme):
    """README with both of its generated blocks written anew."""
    blocks = {"first run": _first_run, "results": results_block}
    for name, block in blocks.items():
        readme = with_block(readme, name, block())
    return readme


def draw(folder):
    """What the shipped VAE and Transformers draw, where the VAE looks."""
    vae, transformer, writer = (
        load_pretrained(name)
        for name in ("vae_mnist", "transformer_mnist", "transformer_words")
    )
    samples = vae.generate(60, seed=0).reshape(4, 15, *vae.image_shape)
    plots.image_grid(samples).savefig(folder / "samples.png", dpi=80)
    x = data.binarize(data.load("mnist").x_test[:3], seed=0)
    plots.attention_figure(vae.reconstruct(x), vae.attention_maps(x)).savefig(
        folder / "attention.png", dpi=80
    )
    visible = np.indices(x.shape[1:3])[0] < x.shape[1] // 2
    completions = transformer.complete(x, visible, num_samples=8, seed=0)
    plots.completion_figure(x, visible, completions).savefig(
        folder / "completions.png", dpi=80
    )
    faces = data.load("olivetti")
    x = faces.x_test[[3, 25, 47, 62, 88]]
    visible = masks.draw("lower_half", 1, x.shape[1:3])[0]
    both = with_mirror_images(faces.x_train)
    completions = np.concatenate(
        [
            ridge_regression(both, x, visible),
            load_pretrained("completion_olivetti").complete(
                x, visible, num_samples=6, seed=0
            ),
        ],
        axis=1,
    )
    plots.completion_figure(x, visible, completions).savefig(
        folder / "faces.png", dpi=80
    )
    texts = number_words.names_of(number_words.HELD_OUT_PAIRS[::4])
    written = writer.generate(30, texts.repeat(6), seed=0)
    plots.image_grid(
        written.reshape(5, 6, *written.shape[1:]), list(texts), cell_size=1.1
    ).savefig(folder / "words_to_digits.png", dpi=80)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(write_block(readme.read_text()))
    draw(ROOT / "docs")
