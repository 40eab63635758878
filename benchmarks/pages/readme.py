"""README.md: the first run, the table of systems, the course."""

import json

from pages.blocks import ROOT, interval, results, table
from pages.self_attention import training_steps
from pages.transformer import JUDGES

from tfattn.models import pretrained_results

COURSE = {
    "00_start_here": "check your machine, look at the data, draw an attention map",
    "01_attention_from_scratch": "attention from loops to matrices to many heads",
    "02_attention_module": "a softmax with learned weights, and its published defects",
    "03_self_attention_2d": "self-attention over images, and a task that needs it",
    "04_vae_with_attention": "a variational autoencoder: derived, trained, measured",
    "05_self_attention_gan": "a conditional GAN, and how real its images are",
    "06_image_transformer": "exact likelihoods, super-resolution, words to digits",
    "07_face_completion": "inpainting of faces, and what attention changes",
    "08_flow_matching": "noise to digits, sentences to avatars: velocities, few steps",
}


def first_run():
    """What README's first command gives."""
    found = results("first_run")
    seconds = round(min(found["training_seconds"]), -1)
    full = pretrained_results("vae_mnist")["negative_elbo"]["value"]
    return [
        f"Training took about {seconds} seconds on "
        f"{found['machine'].partition(',')[0]} that were idle; slower or busy ones "
        "take longer, up to several minutes. No network is needed. Training ends with "
        "the negative evidence lower bound of the test images, "
        f"**{found['value']:.1f} nats**; lower is better, and full training reaches "
        f"{full:.1f}. Processors round differently: expect between "
        f"{found['low']:.1f} and {found['high']:.1f} (99% prediction interval from "
        f"{len(found['values'])} seeds)."
    ]


def systems():
    """One row for each system: what it does, its number, and a peer's number."""
    published = results("published")["binary_mnist_nats"]
    quality = results("generation_quality")["rows"]
    attention, arms = training_steps(), results("completion")["masks"]["lower_half"]
    shipped = arms["CompletionVAE"]["ssim"]
    ahead = results("completion")["shipped_minus_best_baseline"]["lower_half"]["ssim"]
    vae, transformer, writer, avatars = (
        pretrained_results(name)
        for name in (
            "vae_mnist",
            "transformer_mnist",
            "transformer_words",
            "flow_avatars",
        )
    )

    def step(method):
        case = attention[method, "graph", 64]
        return (
            f"{case['peak_mib']['median']:.0f} MiB, "
            f"{case['milliseconds']['median']:.0f} ms"
        )

    def distance(data, row):
        return f"{quality[data][row]['frechet_distance']['mean']:.2f}"

    def both_digits(kind):
        found = writer[f"recognized_{kind}_by_{JUDGES[0]}"]
        return f"{found['value']:.1%}"

    def of_paper(name):
        return f"{published[name]['dynamic']:.2f}, {name}"

    enlarged = results("super_resolution")["factors"]["4"]["ways"]
    ssim = {name: way["ssim"] for name, way in enlarged.items()}
    ssim_of_ours = ssim.pop("`transformer_mnist_coarse_to_fine`")
    next_best = max(ssim, key=lambda name: ssim[name]["value"])
    gan = "self-attention GAN, temperature 1"
    flow = results("flow")["mnist"]["quality"][0]
    avatars, captioner = avatars["avatars"], results("captioner")["digits"]
    rows = [
        [
            "`SelfAttention2D`",
            "self-attention over a 64×64 map: [a training step]"
            "(docs/results/self_attention.md)",
            step("chunked"),
            f"{step('keras mha')}, Keras's layer",
        ],
        [
            "`AttentionVAE`",
            "digits: [bound on the negative log-likelihood](docs/results/vae.md)",
            f"{interval(vae['negative_log_likelihood_5000'])} nats",
            of_paper("IWAE, 50 samples, one layer of latents"),
        ],
        [
            "`SelfAttentionGAN`",
            "digits: [Fréchet classifier distance](docs/results/gan.md)",
            distance("mnist", gan),
            f"{distance('mnist', 'real training images')}, real images",
        ],
        [
            "`SelfAttentionGAN`",
            "clothes: [Fréchet classifier distance](docs/results/gan.md)",
            distance("fashion_mnist", gan),
            f"{distance('fashion_mnist', 'real training images')}, real images",
        ],
        [
            "`AttentionFlow`",
            "digits: [Fréchet classifier distance](docs/results/flow.md)",
            f"{flow['frechet_distance']['mean']:.2f}",
            f"{distance('mnist', gan)}, our GAN",
        ],
        [
            "`AttentionFlow`",
            "a sentence to an avatar: [attributes as asked](docs/avatars.md)",
            f"{avatars['as_asked']['mean']:.2%}; at most 3 wrong pixels: "
            f"{avatars['valid']:.2%}; all long-range rules kept: "
            f"{avatars['all_rules']:.1%}",
            "100% each, real images",
        ],
        [
            "`ImageTransformer`",
            "digits: [exact negative log-likelihood](docs/results/transformer.md)",
            f"{interval(transformer['negative_log_likelihood'])} nats",
            f"{of_paper('ImageGPT, public reproduction')}; "
            f"{of_paper('PixelSNAIL, public reproduction')}",
        ],
        [
            "`ImageTransformer`",
            "“four two” to an image: [both digits right](docs/results/transformer.md)",
            both_digits("generated"),
            f"{both_digits('real')}, real images",
        ],
        [
            "`ImageTransformer`",
            "a digit of 7×7 pixels enlarged to 28×28: [SSIM of the mean]"
            "(docs/results/transformer.md#super-resolution)",
            interval(ssim_of_ours, 3),
            f"{ssim[next_best]['value']:.3f}, {next_best}",
        ],
        [
            "`ImageCaptioner`",
            "two digits to “four two”: [both words right](docs/results/captioner.md)",
            f"{captioner['right']['value']:.1%}",
            f"{captioner['right, two classifiers in a row']['value']:.1%}, two "
            "classifiers in a row",
        ],
        [
            "`CompletionVAE`",
            "the lower half of a face: [SSIM of the mean](docs/results/completion.md)",
            interval(shipped, 3),
            f"{arms[ahead['baseline']]['ssim']['value']:.3f}, {ahead['baseline']}",
        ],
    ]
    return table(["", "what is measured", "tfattn", "for comparison"], rows)


def course():
    """The notebooks, and what their last full runs took."""
    rows = []
    for name, words in COURSE.items():
        path = ROOT / "notebooks" / "results" / f"{name[:2]}.json"
        minutes = json.loads(path.read_text(encoding="utf-8"))["cpu_seconds"] / 60
        rows.append(
            [f"[{name}](notebooks/{name}.ipynb)", words, max(1, round(minutes))]
        )
    return table(["notebook", "what you do", "processor minutes"], rows)
