"""What README's first command gives, for several seeds.

    python benchmarks/first_run.py

Writes `results/first_run.json` and, from seed 0, which is the command's own, the
picture at the top of README. On another processor rounding differs and training
amplifies the difference, so the result varies at most as much as between seeds.
README promises the range that holds 99 % of further trainings, if their results are
normally distributed.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).parent.parent
NUM_SEEDS = 3
COVERAGE = 0.99

command = re.search(r"tfattn (train vae .*) --out", (ROOT / "README.md").read_text())
arguments = command.group(1).split()
values, seconds = [], []
for seed in range(NUM_SEEDS):
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        subprocess.run(
            [
                *(sys.executable, "-m", "tfattn", *arguments),
                *("--out", str(run), "--seed", str(seed)),
            ],
            check=True,
        )
        metrics = json.loads((run / "metrics.json").read_text())
        values.append(metrics["negative_elbo"]["value"])
        seconds.append(metrics["training_seconds"])
        if seed == 0:
            shutil.copy(run / "samples.png", ROOT / "docs" / "first_samples.png")
margin = (
    stats.t.ppf((1 + COVERAGE) / 2, NUM_SEEDS - 1)
    * np.std(values, ddof=1)
    * np.sqrt(1 + 1 / NUM_SEEDS)
)
content = {
    "protocol": f"tfattn {' '.join(arguments)}, seeds 0 to {NUM_SEEDS - 1}; negative "
    f"evidence lower bound of {metrics['negative_elbo']['num_images']} test images in "
    f"nats, {metrics['protocol']}; range: {COVERAGE:.0%} prediction interval for "
    "another training",
    "machine": metrics["machine"],
    "versions": metrics["versions"],
    "epochs": metrics["epochs"],
    "value": values[0],
    "low": float(np.mean(values) - margin),
    "high": float(np.mean(values) + margin),
    "values": values,
    "training_seconds": seconds,
}
path = ROOT / "benchmarks" / "results" / "first_run.json"
path.write_text(json.dumps(content, indent=2) + "\n")
