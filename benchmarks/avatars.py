"""Avatars: the picture and the table of their data card, and the report's own test.

    python benchmarks/avatars.py

Writes `results/avatars.json`: the report on real avatars, on real avatars of which one
attribute was exchanged on one side, and on those with noise. Writes the pictures of
`docs/avatars.md` and its tables, with the reports on three models, which `tfattn train`
made: flow and VAE in the package, and a GAN (`results/gan_avatars.json`) that is not,
since it keeps few rules.
"""

import json
from pathlib import Path

import numpy as np
from pages.blocks import with_block

from tfattn import data, plots
from tfattn.data import avatars
from tfattn.data.avatars.drawing import SIDES
from tfattn.evaluation import avatar_report, metrics
from tfattn.evaluation.avatars import MOST_WRONG_PIXELS, RULES, pixels_apart
from tfattn.models import load_pretrained, pretrained_results
from tfattn.training.runs import read_json, write_figure, write_json

ROOT = Path(__file__).parent.parent
CARD = ROOT / "docs" / "avatars.md"
NOISE = 0.05
NOISE_ROW = f"noise of standard deviation {NOISE}"

RESULTS = ROOT / "benchmarks" / "results"


def results_block(content):
    """Lines of Markdown: the reports on real avatars and on trained models."""
    reports = {
        "real test avatars": content["reports"]["real"],
        f"the same with noise ({NOISE})": content["reports"][NOISE_ROW],
    }
    flow, vae, gan = (
        pretrained_results("flow_avatars"),
        pretrained_results("vae_avatars"),
        read_json(RESULTS / "gan_avatars.json"),
    )
    reports["attention flow by sentences, `flow_avatars`"] = flow["avatars"]
    reports["attention VAE, `vae_avatars`"] = vae["avatars"]
    reports["self-attention GAN"] = gan["avatars"]
    lines = [
        "| images | valid | wrong pixels | "
        + " | ".join(name.replace("_", " ") for name in RULES)
        + " | all rules | marginals | coverage | new |",
        f"|{'---|' * (len(RULES) + 7)}",
    ]
    for words, report in reports.items():
        marginals = np.mean([*report["marginals"].values()])
        cells = [f"{report['valid']:.1%}", f"{report['wrong_pixels']:.0f}"]
        cells += [f"{report['rules'][name]['kept']:.1%}" for name in RULES]
        cells += [f"{report['all_rules']:.1%}", f"{marginals:.3f}"]
        cells.append(f"{report['coverage']:.1%}")
        new = report.get("novelty")
        cells.append("–" if new is None else f"{new:.1%}")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    asked = flow["avatars"]["as_asked"]
    in_phase = flow["avatars"]["rules"]["pattern_is_in_phase"]["kept"]
    worst = min(asked, key=lambda name: np.inf if name == "all" else asked[name])
    bound = vae["negative_elbo"]
    bits = [
        metrics.bits_per_dimension(bound[key], (h, w, c))
        for key in ("value", "low", "high")
    ]
    baseline = metrics.bits_per_dimension(vae["nats_of_independent_pixels"], (h, w, c))
    return [
        *lines,
        "",
        f"Protocol: {gan['avatars']['num_images']} generated images of each model, one "
        "draw. Wrong pixels: the median. Marginals: mean over the attributes of the "
        "total variation distance between how often values occur and how often they "
        "should; coverage: share of the pairs of values of two attributes that occur; "
        "new: share of the images that are valid and keep all rules whose avatar is "
        "not in the training set; –: there is no such image.",
        "",
        "The flow is asked for avatars in sentences that name all attributes but the "
        f"phase of the pattern. {asked['mean']:.2%} of the attributes asked for are "
        f"there, {asked[worst]:.1%} for the one that fails most often, "
        f"{worst.replace('_', ' ')}; all of them are there in {asked['all']:.1%} of "
        "the images. The phase is left to the noise; the flow draws each corner well, "
        f"but all four are in phase in only {in_phase:.1%} of the images. It was "
        f"trained for {flow['epochs']} epochs, {flow['training_seconds'] / 60:.0f} "
        "minutes.",
        "",
        f"The VAE needs at most {bits[0]:.3f} bits ({bits[1]:.3f} to {bits[2]:.3f}, "
        f"95% interval over {bound['num_images']} test images) for each channel of a "
        f"pixel, of {vae['levels']} levels; pixels by themselves need {baseline:.3f}, "
        f"and the truth {content['entropy_bits_per_dimension']:.4f}. The VAE was "
        f"trained for {vae['epochs']} epochs, {vae['training_seconds'] / 60:.0f} "
        f"minutes, the GAN for {gan['epochs']} epochs, "
        f"{gan['training_seconds'] / 60:.0f} minutes; all ran at the same time as "
        f"other work on {gan['machine']}.",
        "",
        "![Forty avatars that the flow drew from sentences](avatars_generated.png)",
    ]


dataset = data.load("avatars")
h, w, c = dataset.x_test.shape[1:]
attributes = avatars.by_name(dataset.y_test)
rng = np.random.default_rng(0)
reports = {"real": avatar_report(dataset.x_test, dataset.y_train)}
for side in ("right_eye", "right_earring", "hat_color"):
    exchanged = {**attributes, side: rng.permutation(attributes[SIDES[side]])}
    images = avatars.paint(exchanged) / np.float32(255)
    reports[f"{side} exchanged between avatars"] = avatar_report(images)
phases = np.repeat(attributes["phase"][:, None], 4, axis=1)
phases[:, 3] = rng.permutation(phases[:, 3])
images = avatars.paint({**attributes, "phase": phases}) / np.float32(255)
reports["phase of one corner exchanged"] = avatar_report(images)
noise = rng.normal(0, NOISE, dataset.x_test.shape)
images = np.clip(dataset.x_test + noise, 0, 1)
reports[NOISE_ROW] = avatar_report(images)
content = {
    "protocol": f"the {len(dataset.x_test)} test avatars, against the "
    f"{len(dataset.x_train)} training avatars; generator seed 0",
    "entropy_nats": avatars.entropy(),
    "entropy_bits_per_dimension": metrics.bits_per_dimension(
        avatars.entropy(), (h, w, c)
    ),
    "reports": reports,
}
write_json(RESULTS / "avatars.json", content)
print(json.dumps(content, indent=2))

sheet = dataset.x_test[:40].reshape(4, 10, h, w, c)
write_figure(ROOT / "docs" / "avatars.png", plots.image_grid(sheet, cell_size=0.9))
sentences = avatars.sentences(dataset.y_test[:40])
sheet = load_pretrained("flow_avatars").generate(40, sentences, seed=1)
sheet = sheet.reshape(4, 10, h, w, c)
write_figure(
    ROOT / "docs" / "avatars_generated.png", plots.image_grid(sheet, cell_size=0.9)
)

rows = ["| attribute | values, with their probability in % |", "|---|---|"]
for name, attribute in avatars.ATTRIBUTES.items():
    values = ", ".join(
        f"{value} {100 * p:.3g}"
        for value, p in zip(attribute.values, attribute.probabilities, strict=True)
    )
    rows.append(f"| {name.replace('_', ' ')} | {values} |")
bits = avatars.entropy() / np.log(2)
rows += [
    "",
    f"The entropy of an avatar is {bits:.1f} bits, which is "
    f"{content['entropy_bits_per_dimension']:.4f} bits for each of the {h * w * c} "
    "values of its pixels: no model can need less.",
]
rules = [
    "| rule | pixels apart | kept if one side is exchanged between avatars |",
    "|---|---|---|",
]
for name in RULES:
    least = min(report["rules"][name]["kept"] for report in reports.values())
    rules.append(f"| {name.replace('_', ' ')} | {pixels_apart(name)} | {least:.0%} |")
reading = [
    "A pixel is wrong if a channel differs from this drawing by more than "
    f"{avatars.TOLERANCE:.0%} of the range from black to white. An image is *valid* if "
    f"at most {MOST_WRONG_PIXELS} of its {h * w} pixels are wrong; leaving out a part, "
    "such as an eye or the mouth, makes more than that."
]
text = CARD.read_text(encoding="utf-8")
for name, lines in (
    ("attributes", rows),
    ("rules", rules),
    ("reading", reading),
    ("results", results_block(content)),
):
    text = with_block(text, name, "\n".join(lines))
CARD.write_text(text, encoding="utf-8")
