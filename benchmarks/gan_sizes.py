"""What a training step of the GAN costs by the size of its images.

    python benchmarks/gan_sizes.py

Each size is measured in a process of its own, with the maps of attention as a whole and
in chunks: parameters, peak memory, and the median time of a step. Writes
`results/gan_sizes.json`.
"""

import json
import subprocess
import sys
from pathlib import Path

from tfattn.training.runs import write_json

RESULTS = Path(__file__).parent / "results" / "gan_sizes.json"
BATCH_SIZE = 16
SIZES = (32, 64, 128)
NUM_STEPS = 5
MEASURED = """
import json, resource, sys, time
import numpy as np
from tfattn.models import SelfAttentionGAN
from tfattn.training import recipe

size, batch_size, num_steps, chunked = map(int, sys.argv[1:])
model = SelfAttentionGAN((size, size, 3))
for network in (model.generator, model.discriminator, model.generator_average):
    network.get_layer("attention").chunk_size = 64 if chunked else None
recipe(model).compile(model, 1000)
x = np.random.default_rng(0).random((batch_size, size, size, 3), "float32")
model.train_on_batch(x)
seconds = []
for _ in range(num_steps):
    started = time.monotonic()
    model.train_on_batch(x)
    seconds.append(time.monotonic() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({
    "parameters": model.generator.count_params() + model.discriminator.count_params(),
    "GiB": peak,
    "seconds": float(np.median(seconds)),
}))
"""

found = {}
for size in SIZES:
    for chunked in (0, 1):
        arguments = map(str, (size, BATCH_SIZE, NUM_STEPS, chunked))
        run = subprocess.run(
            [sys.executable, "-c", MEASURED, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        row = json.loads(run.stdout.splitlines()[-1])
        found[f"{size}, {'in chunks of 64' if chunked else 'whole maps'}"] = row
        print(size, bool(chunked), row, flush=True)
write_json(
    RESULTS,
    {
        "protocol": f"one training step on {BATCH_SIZE} color images, float32; median "
        f"of {NUM_STEPS} steps; peak memory of the whole process, TensorFlow and all",
        "sizes": found,
    },
)
