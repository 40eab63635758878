"""Is the run folder of README's first command what README promises?"""

import json
import sys
from pathlib import Path

from PIL import Image

run = Path(sys.argv[1])
promised = json.loads(Path("benchmarks/results/first_run.json").read_text())
found = json.loads((run / "metrics.json").read_text())["negative_elbo"]["value"]
low, high = (promised["value"] + sign * promised["tolerance"] for sign in (-1, 1))
print(f"negative ELBO {found:.2f} nats; README promises {low:.2f} to {high:.2f}")
assert low <= found <= high
for name in ("samples.png", "attention.png"):
    with Image.open(run / name) as picture:
        darkest, brightest = picture.convert("L").getextrema()
        print(f"{name}: {picture.width}×{picture.height} pixels")
        assert darkest < 50 and brightest > 200
