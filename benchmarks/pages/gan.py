"""docs/results/gan.md: the self-attention GAN, and the VAE beside it."""

from pages.blocks import range_of_draws, results, table

from tfattn.cli.systems.gan import TEMPERATURE
from tfattn.models import pretrained_results

DATA_WORDS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
ROWS = {
    "real training images": "real training images (the floor)",
    "noise 0.1": "the same with Gaussian noise, σ = 0.1",
    "blur 1.0": "the same, blurred with σ = 1 pixel",
    "without class 0": "real training images without class 0",
    "attention VAE": "attention VAE",
    "self-attention GAN": f"self-attention GAN, temperature {TEMPERATURE}",
    "self-attention GAN, temperature 1": "self-attention GAN, temperature 1",
}
COLUMNS = ("Fréchet distance", "kernel distance", "precision", "recall", "recognized")
MEASURES = ("frechet_distance", "kernel_distance", "precision", "recall", "recognized")


def block():
    measured, throughput = results("generation_quality"), results("gan_throughput")
    gan = pretrained_results("gan_mnist")
    lines = []
    for name, rows in measured["rows"].items():
        floor = rows["real training images"]["frechet_distance"]["mean"]
        head = [DATA_WORDS[name], COLUMNS[0], "relative to the floor", *COLUMNS[1:]]
        cells = []
        for row, words in ROWS.items():
            if row in rows:
                of_row = [range_of_draws(rows[row].get(m)) for m in MEASURES]
                ratio = rows[row]["frechet_distance"]["mean"] / floor
                cells.append([words, of_row[0], f"{ratio:.2f}", *of_row[1:]])
        lines += [*table(head, cells), ""]
    ratios = " and ".join(
        f"{ratio['median']:.2f} times ({ratio['lower']:.2f} to {ratio['upper']:.2f}) "
        f"in {name}"
        for name in ("float32", "bfloat16")
        for ratio in [throughput[name]["ratio"]]
    )
    speed = throughput["float32"]["sampled_images_per_second"]
    return [
        *lines,
        f"Protocol: {measured['protocol']}.",
        "",
        f"Temperature {TEMPERATURE} was chosen after several temperatures had been "
        "scored on the test images of MNIST. There, temperature 1, at which the GANs "
        "are trained, gives the smaller Fréchet distance.",
        "",
        f"The GAN of MNIST was trained for {gan['epochs']} epochs, "
        f"{gan['training_seconds'] / 60:.0f} minutes on {gan['machine']}, bfloat16.",
        "",
        "## Speed",
        "",
        f"A training step with self-attention takes {ratios} as long as a step without "
        f"it. The generator samples {speed:.0f} images a second. Protocol: "
        f"{throughput['protocol']}.",
        "",
        "![Samples of the self-attention GAN](../gan_samples.png)",
        "",
        "![The Fréchet distance grows with noise, blur, rotation and occlusion]"
        "(../generation_quality.png)",
    ]
