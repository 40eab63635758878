"""Completions of faces and digits, of every model and every baseline, in one table.

python benchmarks/completion.py runs/adversarial runs/gate runs/binarized

The three folders are runs of `tfattn train completion`: on Olivetti with
`--adversarial` and with `--gate`, and on `binarized_mnist`. Writes
`results/completion.json`.
"""

import json
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np

from tfattn import data
from tfattn.cli.systems import completion
from tfattn.data import masks
from tfattn.evaluation import baselines, completion_quality, metrics
from tfattn.models import load_pretrained
from tfattn.training.runs import load_run, write_json

RESULTS = Path(__file__).parent / "results"
NUM_DIGITS_FOR_BASELINES = 10_000


def main(adversarial, gate, binarized):
    faces = data.load("olivetti")
    shipped = load_pretrained("completion_olivetti")
    seconds = seconds_of_a_face(shipped, faces.x_test[0])
    others = {
        name: load_run(Path(run))
        for name, run in (("adversarial", adversarial), ("gate", gate))
    }
    models = {"CompletionVAE": shipped} | {
        name: model for name, (model, _) in others.items()
    }
    x_train = baselines.with_mirror_images(faces.x_train)
    found = {
        mask: rows(
            masks.draw(mask, len(faces.x_test), faces.x_test.shape[1:3]),
            x_train,
            faces.x_test,
            models,
        )
        for mask in completion.MEASURED_MASKS
    }
    content = {
        "protocol": completion.protocol(faces, shipped, faces.x_test)
        + "; baselines fitted to the training faces and their mirror images, for "
        "strokes anew for each face",
        "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
        "seconds_of_16_completions_of_a_face": seconds,
        "epochs": {name: result["epochs"] for name, (_, result) in others.items()},
        "masks": {mask: summary(of_mask) for mask, of_mask in found.items()},
        "shipped_minus_best_baseline": {
            mask: {
                measure: margin(of_mask, measure, faces.y_test)
                for measure in ("psnr", "ssim", "best_psnr")
            }
            for mask, of_mask in found.items()
        },
        "digits": digits(Path(binarized)),
    }
    write_json(RESULTS / "completion.json", content)
    print(json.dumps(content["shipped_minus_best_baseline"], indent=1))


def rows(visible, x_train, x, models):
    """Each row's measures of each image; what a row draws has several completions."""
    found = {}
    for name, baseline in baselines.BASELINES.items():
        if np.all(visible == visible[0]):
            completions = baseline(x_train, x, visible[0])
        else:
            completions = np.concatenate(
                [baseline(x_train, x[i : i + 1], visible[i]) for i in range(len(x))]
            )
        found[name] = completion_quality(x, visible, completions)
        print(name, f"{found[name]['psnr'].mean():.2f} dB", flush=True)
    for name, model in models.items():
        found[name] = completion.quality(model, x, visible)
        print(name, f"{found[name]['psnr'].mean():.2f} dB", flush=True)
    return found


def summary(found):
    return {
        name: {
            measure: metrics.bootstrap_estimate(values)._asdict()
            for measure, values in of_row.items()
        }
        for name, of_row in found.items()
    }


def margin(found, measure, people):
    """By how much the shipped model is ahead of the baseline that is best on average.

    A baseline has one answer, the mean of its draws if it draws; the best of a model's
    draws is held against it, and against the best of as many draws of the Gaussian.
    """
    of_baselines = {
        name: found[name]["psnr" if measure == "best_psnr" else measure]
        for name in baselines.BASELINES
    }
    if measure == "best_psnr":
        drawing = "conditional Gaussian"
        of_baselines[f"{drawing}, best of its draws"] = found[drawing][measure]
    best = max(of_baselines, key=lambda name: of_baselines[name].mean())
    difference = found["CompletionVAE"][measure] - of_baselines[best]
    return {
        "baseline": best,
        "over_faces": metrics.bootstrap_estimate(difference)._asdict(),
        "over_people": metrics.bootstrap_estimate(difference, people)._asdict(),
    }


def digits(run):
    """Lower halves of statically binarized digits, the image Transformer's too."""
    dataset = data.load("binarized_mnist")
    model, result = load_run(run)
    x = completion.test_images(dataset, model.levels)
    order = np.random.default_rng(1).permutation(len(dataset.x_train))
    few = order[:NUM_DIGITS_FOR_BASELINES]
    visible = masks.draw("lower_half", len(x), x.shape[1:3])
    found = rows(visible, dataset.x_train[few], x, {"CompletionVAE": model})
    completions = load_pretrained("transformer_mnist").complete(
        x, visible, num_samples=completion.NUM_SAMPLES, seed=completion.SAMPLE_SEED
    )
    found["ImageTransformer"] = completion_quality(x, visible, completions)
    return {
        "protocol": f"{len(x)} test images, a seeded subset, lower half hidden; "
        f"baselines fitted to {len(few)} training images; the Transformer was trained "
        "on dynamically binarized images",
        "epochs": result["epochs"],
        "training_seconds": result["training_seconds"],
        "rows": summary(found),
    }


def seconds_of_a_face(model, face):
    """The first call after loading, and the median of ten more."""
    visible = masks.draw("lower_half", 1, face.shape[:2])
    seconds = []
    for seed in range(11):
        started = time.perf_counter()
        model.complete(face[None], visible, num_samples=16, seed=seed)
        seconds.append(time.perf_counter() - started)
    return {"first": seconds[0], "later": float(np.median(seconds[1:]))}


if __name__ == "__main__":
    main(*sys.argv[1:])
