"""README's tables of completions, for `write_readme.py`."""

import json
from pathlib import Path

from tfattn.evaluation.baselines import BASELINES
from tfattn.models import pretrained_results

RESULTS = Path(__file__).parent / "results"
COMPLETION_ARMS = {
    "none": "CompletionVAE, no attention",
    "self": "CompletionVAE, self-attention",
    "residual": "CompletionVAE, residual block",
    "uniform": "CompletionVAE, uniform attention",
}
COMPLETION_MODELS = {
    "CompletionVAE": "CompletionVAE as shipped (self-attention, trained longer)",
    "gate": "CompletionVAE, self-attention and gate",
    "adversarial": "CompletionVAE, self-attention and discriminator",
}


def completion_lines():
    """Completions of every baseline and model; what attention adds; digits."""
    measured = json.loads((RESULTS / "completion.json").read_text())
    arms = json.loads((RESULTS / "completion_arms.json").read_text())
    shipped = pretrained_results("completion_olivetti")
    lines = [
        "Completions of faces of people that training never shows (mean and 95 % "
        "interval over faces; PSNR in dB, SSIM: of the hidden part, higher is better):",
    ]
    for mask, of_mask in measured["masks"].items():
        lines += [
            "",
            f"| {mask.replace('_', ' ')} hidden | PSNR | SSIM | PSNR of one draw | "
            "PSNR, best of 16 | diversity |",
            "|---|---|---|---|---|---|",
        ]
        found = {name: of_mask[name] for name in BASELINES}
        found |= {
            words: arms["arms"][arm][mask] for arm, words in COMPLETION_ARMS.items()
        }
        found |= {words: of_mask[name] for name, words in COMPLETION_MODELS.items()}
        for name, of_row in found.items():
            draws = of_row["diversity"]["value"] > 0
            cells = [
                _interval(of_row["psnr"], 2),
                _interval(of_row["ssim"], 3),
                f"{of_row['psnr_of_one']['value']:.2f}" if draws else "–",
                _interval(of_row["best_psnr"], 2) if draws else "–",
                f"{of_row['diversity']['value']:.3f}" if draws else "–",
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    largest = max(
        abs(of_mask["psnr"]["over_seeds"]["value"])
        for of_mask in arms["differences"]["self"].values()
    )
    ahead = measured["shipped_minus_best_baseline"]["lower_half"]
    ahead = {
        measure: f"{_interval(entry['over_faces'], decimals)}; over the ten people "
        f"{entry['over_people']['low']:.{decimals}f} to "
        f"{entry['over_people']['high']:.{decimals}f}; {entry['baseline']}"
        for (measure, entry), decimals in zip(ahead.items(), (2, 3, 2), strict=True)
    }
    seconds = measured["seconds_of_16_completions_of_a_face"]
    digits = measured["digits"]
    lines += [
        "",
        f"Protocol: {measured['protocol']}. Arms: {arms['pairs']}; trained on an "
        f"{arms['device']}. The shipped model: "
        f"{shipped['epochs']} epochs, {shipped['training_seconds'] / 60:.0f} min on "
        f"{shipped['machine']}, bfloat16, {shipped['parameters']} parameters; its "
        "latents, its rate and how faces are changed were chosen on six people of the "
        "training set, by models of the other 24, and so were the baselines' numbers. "
        f"At most {_interval(shipped['bits_per_hidden_pixel_64'], 2)} bits per hidden "
        "pixel of the lower half (64 draws). Adversarial and gate: "
        f"{measured['epochs']['adversarial']} and {measured['epochs']['gate']} epochs. "
        f"16 completions of a face take {seconds['first']:.2f} s in the first call "
        f"after loading, then {seconds['later']:.2f} s. The ImageTransformer has no "
        "row: 64×64 grey pixels would be 4096 tokens; it has one for digits, below.",
        "",
        "Lower half, the shipped model minus the best baseline: SSIM "
        f"{ahead['ssim']}. PSNR of the mean of its draws {ahead['psnr']}. PSNR of its "
        f"best draw {ahead['best_psnr']}.",
        "",
        "| self-attention minus none, 6 paired trainings | PSNR | SSIM | PSNR, best "
        "of 16 |",
        "|---|---|---|---|",
    ]
    for mask, of_mask in arms["differences"]["self"].items():
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
        lines.append(f"| {mask.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += [
        "",
        "The claim that self-attention completes faces markedly better does not hold "
        "for this model and these faces: on average over the seeds PSNR changes by at "
        f"most {largest:.2f} dB.",
        "",
        "| digits, lower half hidden | PSNR | SSIM | PSNR, best of 16 | diversity |",
        "|---|---|---|---|---|",
    ]
    for name, of_row in digits["rows"].items():
        draws = of_row["diversity"]["value"] > 0
        cells = [
            _interval(of_row["psnr"], 2),
            _interval(of_row["ssim"], 3),
            _interval(of_row["best_psnr"], 2) if draws else "–",
            f"{of_row['diversity']['value']:.3f}" if draws else "–",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Protocol: {digits['protocol']}. CompletionVAE: {digits['epochs']} epochs, "
        f"{digits['training_seconds'] / 60:.0f} min.",
        "",
        "![Five faces, their upper halves, an answer of ridge regression and six of "
        "the model](docs/faces.png)",
    ]


def _interval(estimate, decimals):
    value, low, high = (
        f"{estimate[key]:.{decimals}f}" for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
