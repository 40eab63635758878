"""Avatars: the picture and the table of their data card, and the report's own test.

    python benchmarks/avatars.py

Writes `results/avatars.json`: the report on real avatars, on real avatars of which one
attribute was exchanged on one side, and on those with noise. Writes `docs/avatars.png`
and the table of attributes in `docs/avatars.md`.
"""

import json
import re
from pathlib import Path

import numpy as np

from tfattn import data, plots
from tfattn.data import avatars
from tfattn.data.avatars.drawing import SIDES
from tfattn.evaluation import avatar_report, metrics
from tfattn.evaluation.avatars import RULES
from tfattn.training.runs import write_figure, write_json

ROOT = Path(__file__).parent.parent
CARD = ROOT / "docs" / "avatars.md"
NOISE = 0.05

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
reports[f"noise of standard deviation {NOISE}"] = avatar_report(images)
content = {
    "protocol": f"the {len(dataset.x_test)} test avatars, against the "
    f"{len(dataset.x_train)} training avatars; generator seed 0",
    "entropy_nats": avatars.entropy(),
    "entropy_bits_per_dimension": metrics.bits_per_dimension(
        avatars.entropy(), (h, w, c)
    ),
    "reports": reports,
}
write_json(ROOT / "benchmarks" / "results" / "avatars.json", content)
print(json.dumps(content, indent=2))

sheet = dataset.x_test[:40].reshape(4, 10, h, w, c)
write_figure(ROOT / "docs" / "avatars.png", plots.image_grid(sheet, cell_size=0.9))

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
for name, apart in RULES.items():
    least = min(report["rules"][name]["kept"] for report in reports.values())
    rules.append(f"| {name.replace('_', ' ')} | {apart} | {least:.0%} |")
text = CARD.read_text(encoding="utf-8")
for name, lines in (("attributes", rows), ("rules", rules)):
    text = re.sub(
        rf"(<!-- {name} -->\n).*(<!-- /{name} -->)",
        lambda match, lines=lines: match[1] + "\n".join(lines) + "\n" + match[2],
        text,
        flags=re.DOTALL,
    )
CARD.write_text(text, encoding="utf-8")
