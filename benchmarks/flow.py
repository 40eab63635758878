"""A trained flow: guidance, number of steps, likelihood, completions, reflow.

    python benchmarks/flow.py runs/flow_mnist

measures a finished run of `tfattn train flow` and writes it under the name of its data
set into benchmarks/results/flow.json; `--parts choice steps` measures some parts only,
and keeps the others. How many steps are taken with how much guidance is chosen by
images generated against training images; the test images judge what was chosen.
Completions are those of benchmarks/completion.py, of black and white digits.
"""

import argparse
import json
import os
import time
from pathlib import Path

import keras
import numpy as np

from tfattn import data
from tfattn.cli.systems import completion
from tfattn.data import masks
from tfattn.evaluation import (
    bits_per_dimension,
    completion_quality,
    generation_report,
    metrics,
)
from tfattn.models import AttentionFlow, Reflow, load_pretrained
from tfattn.training.runs import load_run, write_json

RESULTS = Path(__file__).parent / "results" / "flow.json"
NUM_DRAWS = 3
NUM_JUDGED_FOR_CHOICE = 5_000
# None takes more than 32 passes through the network for an image.
CHOICES = tuple(
    {
        "guidance": guidance,
        "guidance_interval": interval,
        "num_steps": 16 if guidance == 1 else 8,
        "solver": "heun",
    }
    for guidance, interval in (
        (1.0, None),
        (1.1, None),
        (1.25, None),
        (1.5, None),
        (2.0, None),
        (1.5, (0.0, 0.5)),
        (1.5, (0.25, 0.75)),
        (1.5, (0.5, 1.0)),
        (2.0, (0.25, 0.75)),
    )
)
FEW_STEPS = (
    {"num_steps": 1, "solver": "euler"},
    {"num_steps": 2, "solver": "euler"},
    {"num_steps": 4, "solver": "euler"},
    {"num_steps": 16, "solver": "euler"},
)
NUM_TIMED = 5_000
NUM_LIKELIHOODS = 500
LIKELIHOOD_STEPS = (16, 32, 64)
NUM_PAIRS, REFLOW_EPOCHS, REFLOW_RATE, BATCH_SIZE = 20_000, 10, 5e-4, 128


class Measurement:
    """The parts of the measurement of one flow on one data set."""

    def __init__(self, model, dataset):
        self.model, self.dataset = model, dataset
        self.judge = load_pretrained(f"classifier_{dataset.name}")

    def report(self, seed, n, real, model=None, **settings):
        """Measures of n images by class."""
        labels = np.random.default_rng(seed).choice(self.dataset.y_train, n)
        images = (model or self.model).generate(n, labels, seed=seed, **settings)
        return generation_report(images, real, features=self.judge, labels=labels)

    def rows(self, choices, num_draws=1, **settings):
        """For each of the choices its measures against the test images."""
        n, found = len(self.dataset.x_test), []
        for choice in choices:
            draws = [
                self.report(seed, n, self.dataset.x_test, **settings, **choice)
                for seed in range(num_draws)
            ]
            found.append({**choice, **metrics.spread(draws)})
            print(found[-1], flush=True)
        return found

    def choice(self):
        """Guidance that brings images nearest to training images."""
        order = np.random.default_rng(0).permutation(len(self.dataset.x_train))
        real = self.dataset.x_train[order[: len(self.dataset.x_test)]]
        found = []
        for choice in CHOICES:
            scores = self.report(0, NUM_JUDGED_FOR_CHOICE, real, **choice)
            found.append({**choice, **scores})
            print(found[-1], flush=True)
        best = min(found, key=lambda row: row["frechet_distance"])
        chosen = {name: best[name] for name in CHOICES[0]}
        return {"on_training_images": found, "chosen": chosen}

    def quality(self):
        """The test images, with what was chosen and without guidance."""
        chosen = self.results["choice"]["chosen"]
        settings = [chosen, *([CHOICES[0]] if chosen != CHOICES[0] else [])]
        return self.rows(settings, NUM_DRAWS)

    def steps(self):
        """Euler's method in few steps, with the guidance that was chosen.

        How many images a second are generated counts on a quiet machine alone.
        """
        chosen = self.results["choice"]["chosen"]
        guide = {name: chosen[name] for name in ("guidance", "guidance_interval")}
        labels = self.dataset.y_test[:NUM_TIMED]
        for row in (rows := self.rows(FEW_STEPS, **guide)):
            settings = {name: row[name] for name in FEW_STEPS[0]} | guide
            started = time.perf_counter()
            self.model.generate(len(labels), labels, seed=0, **settings)
            row["images_per_second"] = len(labels) / (time.perf_counter() - started)
        return rows

    def likelihood(self):
        """The same test images and random numbers, with more and more steps."""
        x = self.dataset.x_test[:NUM_LIKELIHOODS]
        labels = self.dataset.y_test[:NUM_LIKELIHOODS]
        found = {}
        for num_steps in LIKELIHOOD_STEPS:
            nats = -self.model.log_likelihood(x, labels, num_steps=num_steps)
            estimate = metrics.mean_estimate(nats)._asdict()
            found[num_steps] = {
                name: bits_per_dimension(estimate[name], self.model.image_shape)
                for name in ("value", "low", "high")
            }
            print(num_steps, found[num_steps], flush=True)
        return {"num_images": len(x), "bits_per_dimension_by_steps": found}

    def completion(self):
        """Lower halves of black and white digits, whose class is not told."""
        x = completion.test_images(data.load("binarized_mnist"), levels=2)
        visible = masks.draw("lower_half", 1, x.shape[1:3])[0]
        completions = self.model.complete(
            x, visible, num_samples=completion.NUM_SAMPLES, seed=completion.SAMPLE_SEED
        )
        found = completion_quality(x, visible, completions)
        return {
            measure: metrics.bootstrap_estimate(values)._asdict()
            for measure, values in found.items()
        }

    def reflow(self):
        """One round on the model's own pairs; the model itself stays as it is."""
        chosen = self.results["choice"]["chosen"]
        rng = np.random.default_rng(0)
        labels = rng.choice(self.dataset.y_train, NUM_PAIRS)
        noise = self.model.sample_noise(NUM_PAIRS, seed=100)
        images = self.model.generate_from(noise, labels, **chosen)
        straight = AttentionFlow.from_config(self.model.get_config())
        straight.set_weights(self.model.get_weights())
        trainer = Reflow(straight)
        num_steps = REFLOW_EPOCHS * (NUM_PAIRS // BATCH_SIZE)
        rate = keras.optimizers.schedules.CosineDecay(REFLOW_RATE, num_steps)
        trainer.compile(keras.optimizers.AdamW(rate, weight_decay=0.0, clipnorm=1.0))
        trainer.fit(
            [noise, images, labels],
            batch_size=BATCH_SIZE,
            epochs=REFLOW_EPOCHS,
            verbose=2,
        )
        return {
            "num_pairs": NUM_PAIRS,
            "epochs": REFLOW_EPOCHS,
            "rows": self.rows(FEW_STEPS, model=straight),
        }


PARTS = ("choice", "quality", "steps", "likelihood", "completion", "reflow")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    model, run = load_run(Path(arguments.run))
    dataset = data.load(run["data"])
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    content["protocol"] = (
        "as many generated images as there are test images, against these, on features "
        "of the frozen classifier, classes drawn from the training labels; mean and "
        f"range of {NUM_DRAWS} draws, of one draw for few steps and reflow; guidance "
        f"chosen by {NUM_JUDGED_FOR_CHOICE} generated images against training images; "
        "with guidance an image takes two passes at a time; "
        f"likelihood of the first {NUM_LIKELIHOODS} test images given their class, "
        "uniform dequantization, Hutchinson's estimate, 95 % intervals over images"
    )
    content["machine"] = f"{os.cpu_count()} CPU cores, {keras.backend.backend()}"
    measurement = Measurement(model, dataset)
    measurement.results = content.setdefault(dataset.name, {})
    for name in ("epochs", "training_seconds"):
        measurement.results[name] = run[name]
    for part in arguments.parts:
        print(part, flush=True)
        measurement.results[part] = getattr(measurement, part)()
        write_json(RESULTS, content)


if __name__ == "__main__":
    main()
