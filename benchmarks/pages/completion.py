"""docs/results/completion.md: completed faces and digits."""

from pages.blocks import interval, results, table

from tfattn.evaluation.baselines import BASELINES
from tfattn.models import pretrained_results

COMPLETION_ARMS = {
    "none": "CompletionVAE, no attention",
    "self": "CompletionVAE, self-attention",
    "residual": "CompletionVAE, residual block",
    "uniform": "CompletionVAE, uniform attention",
}
FLOWS = {
    "mnist": "AttentionFlow of gray digits, not trained to complete",
    "binarized_mnist": "AttentionFlow, trained to complete",
}
COMPLETION_MODELS = {
    "CompletionVAE": "CompletionVAE as shipped (self-attention, trained longer)",
    "gate": "CompletionVAE, self-attention and gate",
    "adversarial": "CompletionVAE, self-attention and discriminator",
}


def block():
    return [*_faces(), "", *_enlarged(), "", *_attention(), "", *_digits()]


def _row(name, measured):
    """The cells of a baseline or model; what needs several draws only if it draws."""
    draws = measured["diversity"]["value"] > 0
    return [
        name,
        interval(measured["psnr"], 2),
        interval(measured["ssim"], 3),
        f"{measured['psnr_of_one']['value']:.2f}" if draws else "–",
        interval(measured["best_psnr"], 2) if draws else "–",
        f"{measured['diversity']['value']:.3f}" if draws else "–",
    ]


MEASURES = [
    "PSNR of the mean",
    "SSIM of the mean",
    "PSNR of one sample",
    "PSNR, best of 16",
    "diversity",
]


def _faces():
    """Completions of every baseline and model."""
    measured, arms = results("completion"), results("completion_arms")
    shipped = pretrained_results("completion_olivetti")
    lines = []
    for mask, of_mask in measured["masks"].items():
        found = {name: of_mask[name] for name in BASELINES}
        found |= {
            words: arms["arms"][arm][mask] for arm, words in COMPLETION_ARMS.items()
        }
        found |= {words: of_mask[name] for name, words in COMPLETION_MODELS.items()}
        head = [f"{mask.replace('_', ' ')} hidden", *MEASURES]
        lines += [*table(head, [_row(*item) for item in found.items()]), ""]
    ahead = {
        measure: f"{interval(entry['over_faces'], decimals)} over faces, "
        f"{entry['over_people']['low']:.{decimals}f} to "
        f"{entry['over_people']['high']:.{decimals}f} over the ten people; the best "
        f"baseline is {entry['baseline']}"
        for (measure, entry), decimals in zip(
            measured["shipped_minus_best_baseline"]["lower_half"].items(),
            (2, 3, 2),
            strict=True,
        )
    }
    seconds, epochs = (
        measured["seconds_of_16_completions_of_a_face"],
        measured["epochs"],
    )
    return [
        *lines,
        f"Protocol: {measured['protocol']}. The arms are compared in pairs: "
        f"{arms['pairs']}; they were trained on an {arms['device']}. "
        "Epochs of the model with a discriminator: "
        f"{epochs['adversarial']}, of that with a gate: {epochs['gate']}.",
        "",
        f"The shipped model was trained for {shipped['epochs']} epochs, "
        f"{shipped['training_seconds'] / 60:.0f} minutes on {shipped['machine']}, "
        f"bfloat16; it has {shipped['parameters']} parameters. Its number of latents, "
        "its learning rate and the changes of its training faces were chosen on six "
        "people of the training set, with models trained on the other 24. The numbers "
        "of the baselines were chosen in the same way. It needs at most "
        f"{interval(shipped['bits_per_hidden_pixel_64'])} bits for each hidden pixel "
        "of the lower half (64 samples). Sixteen completions of a face take "
        f"{seconds['first']:.2f} s in the first call after loading and "
        f"{seconds['later']:.2f} s in later calls.",
        "",
        "Lower half, the shipped model minus the best baseline (95% intervals):",
        "",
        f"* SSIM of the mean: {ahead['ssim']}.",
        f"* PSNR of the mean: {ahead['psnr']}.",
        f"* PSNR of the best of 16: {ahead['best_psnr']}.",
        "",
        "The image Transformer has no row, because 64×64 gray pixels would be 4096 "
        "tokens. It is in the table of digits below.",
        "",
        "![Five faces, their upper halves, a completion by ridge regression and six of "
        "the model](../faces.png)",
    ]


def _enlarged():
    """Faces of which every fourth pixel in both directions is visible."""
    found = results("faces_enlarged")
    best = max(found["rows"], key=lambda name: found["rows"][name]["psnr"]["value"])
    head = ["16×16 to 64×64", *MEASURES]
    return [
        "## Super-resolution",
        "",
        *table(head, [_row(*item) for item in found["rows"].items()]),
        "",
        "Every fourth pixel in both directions is visible; training never showed the "
        "model such a mask, but halves, rectangles and strokes. The highest PSNR of "
        f"the mean is that of: {best}. Protocol: {found['protocol']}.",
    ]


def _attention():
    """What self-attention adds, over faces, people and seeds."""
    differences = results("completion_arms")["differences"]["self"]
    rows = []
    for mask, of_mask in differences.items():
        cells = [
            f"{entry['over_faces']['value']:+.{decimals}f}; "
            + ", ".join(
                f"{over} {entry[f'over_{over}']['low']:+.{decimals}f} to "
                f"{entry[f'over_{over}']['high']:+.{decimals}f}"
                for over in ("faces", "people", "seeds")
            )
            for measure, decimals in (("psnr", 2), ("ssim", 3), ("best_psnr", 2))
            for entry in [of_mask[measure]]
        ]
        rows.append([mask.replace("_", " "), *cells])
    largest = max(
        abs(of_mask["psnr"]["over_seeds"]["value"]) for of_mask in differences.values()
    )
    return [
        "## Does self-attention help?",
        "",
        "Article E claims that self-attention completes faces markedly better. The "
        "table gives the difference between self-attention and no attention in six "
        "paired trainings, with 95% intervals over faces, people and seeds. For this "
        "model and these faces the claim does not hold: averaged over the seeds, PSNR "
        f"changes by at most {largest:.2f} dB.",
        "",
        *table(["self-attention minus none", "PSNR", "SSIM", "PSNR, best of 16"], rows),
    ]


def _digits():
    digits, flows = results("completion")["digits"], results("flow")
    rows = dict(digits["rows"])
    for data, words in FLOWS.items():
        if "completion" in flows.get(data, {}):
            rows[words] = flows[data]["completion"]
    return [
        "## Digits",
        "",
        *table(
            ["lower half of digits hidden", *MEASURES],
            [_row(*item) for item in rows.items()],
        ),
        "",
        f"Protocol: {digits['protocol']}. The flow of gray digits is not told the "
        "class. The CompletionVAE was trained for "
        f"{digits['epochs']} epochs, {digits['training_seconds'] / 60:.0f} minutes.",
    ]
