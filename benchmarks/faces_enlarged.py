"""Faces of 16×16 pixels enlarged to 64×64: by CompletionVAE, and by baselines.

    python benchmarks/faces_enlarged.py

Writes results/faces_enlarged.json: the measures of completions, with every fourth pixel
in both directions visible.
"""

from pathlib import Path

import numpy as np
from completion import rows, summary
from super_resolution import bicubic, repeated

from tfattn import data
from tfattn.cli.systems import completion
from tfattn.evaluation import baselines, completion_quality
from tfattn.models import load_pretrained
from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "faces_enlarged.json"
FACTOR = 4


def main():
    faces, model = data.load("olivetti"), load_pretrained("completion_olivetti")
    x = faces.x_test
    visible = np.zeros(x.shape[:3], bool)
    visible[:, ::FACTOR, ::FACTOR] = True
    found = {
        name: completion_quality(x, visible, enlarge(x, FACTOR)[:, None])
        for name, enlarge in (("squares", repeated), ("bicubic", bicubic))
    }
    x_train = baselines.with_mirror_images(faces.x_train)
    found |= rows(visible, x_train, x, {"CompletionVAE": model})
    write_json(
        RESULTS,
        {
            "protocol": f"{completion.protocol(faces, model, x)}; every fourth pixel "
            "in both directions visible; baselines fitted to the training faces and "
            "their mirror images",
            "rows": summary(found),
        },
    )


if __name__ == "__main__":
    main()
