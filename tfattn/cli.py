"""The command `tfattn`: train, evaluate and sample a model in a run folder."""

import argparse
import csv
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from tfattn import data, metrics, plots
from tfattn.models import AttentionVAE

BATCH_SIZE = 128
TEST_DRAW_SEED = 0
SAMPLE_SEED = 0
ATTENTION_QUERIES = [(3, 7), (7, 4), (7, 10), (11, 7)]


def train(arguments):
    """`tfattn train vae`: from a data set's name to a finished run folder."""
    if arguments.epochs < 1:
        raise ValueError(f"Expected --epochs >= 1. Received: {arguments.epochs}")
    name = arguments.data or "mnist"
    run = arguments.out or Path("runs") / f"vae_{name}"
    config = {
        "system": "vae",
        "data": name,
        "attention": arguments.attention,
        "epochs": arguments.epochs,
        "seed": arguments.seed,
    }
    dataset = data.load(name, fallback=None if arguments.data else "digits")
    keras.utils.set_random_seed(arguments.seed)
    model = AttentionVAE(
        dataset.x_train.shape[1:],
        attention=None if arguments.attention == "none" else arguments.attention,
        seed=arguments.seed,
    )
    _open_run(run, config, arguments.resume)
    print(f"data: {dataset.name}, {dataset.source}", flush=True)
    if dataset.name != name:
        print(
            f"\n*** {name} COULD NOT BE HAD. THIS RUN TRAINS ON {dataset.name}. ***\n"
        )

    rows = _fit(model, dataset.x_train, run, arguments.epochs, arguments.seed)
    write_whole(run / "model.keras", model.save)
    (run / "checkpoint.weights.h5").unlink(missing_ok=True)

    print("measuring the test set", flush=True)
    x_test = data.binarize(dataset.x_test, TEST_DRAW_SEED)
    result = {
        **config,
        "data": dataset.name,
        "source": dataset.source,
        "protocol": _protocol(dataset.name),
        "parameters": model.count_params(),
        "training_seconds": round(sum(row["seconds"] for row in rows)),
        "machine": f"{os.cpu_count()} CPU cores, {keras.backend.backend()}",
        "versions": {
            package: version(package)
            for package in ("tfattn", "keras", keras.backend.backend())
        }
        | {"python": platform.python_version()},
        "negative_elbo": metrics.mean_estimate(-model.elbo(x_test))._asdict(),
        "active_units": metrics.active_units(model.encode(x_test)[0]),
    }
    _write_json(run / "metrics.json", result)
    _draw(model, x_test, run)
    _print_estimate("test negative_elbo", result["negative_elbo"])
    print(f"run folder: {run}", flush=True)


def vae_optimizer(num_steps):
    """Adam with a warm-up and a cosine decay to nothing over `num_steps` steps."""
    warmup_steps = min(300, num_steps // 10)
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            1e-5,
            max(1, num_steps - warmup_steps),
            warmup_target=2e-3,
            warmup_steps=warmup_steps,
        ),
        # Only the first steps come near it.
        clipnorm=200.0,
    )


def _open_run(run, config, resume):
    """Makes the run folder, or checks that it is the one to go on with."""
    path = run / "config.json"
    if not path.exists():
        if resume:
            raise ValueError(f"Expected a run to resume in {run}. Found none.")
        run.mkdir(parents=True, exist_ok=True)
        _write_json(path, config)
        return
    if not resume:
        raise ValueError(
            f"{run} already holds a run. Expected --resume to go on with it, or "
            "another --out."
        )
    found = json.loads(path.read_text())
    if found != config:
        raise ValueError(
            f"Expected the arguments that {run} was started with: {found}. "
            f"Received: {config}"
        )


def _fit(model, x, run, epochs, seed):
    """Trains to the last epoch, from the last one that the run folder holds.

    Returns the rows of history.csv, one dictionary an epoch.
    """
    batch_size = min(BATCH_SIZE, len(x))
    steps = len(x) // batch_size
    model.compile(vae_optimizer(epochs * steps))
    history = run / "history.csv"
    if (run / "model.keras").exists():
        print("training had finished", flush=True)
        model.load_weights(run / "model.keras")
        return _read_rows(history)
    # Keras's BackupAndRestore is no use here: it loads once the first batches are on
    # their way, and writes in place.
    checkpoint = run / "checkpoint.weights.h5"
    model.optimizer.build(model.trainable_variables)
    if checkpoint.exists():
        model.load_weights(checkpoint)
    first_epoch = int(model.optimizer.iterations) // steps
    rows = []
    if first_epoch:
        print(f"going on after epoch {first_epoch}", flush=True)
        # Without what a killed training wrote after the last epoch that was saved.
        rows = _read_rows(history)[:first_epoch]
    for epoch in range(first_epoch, epochs):
        started = time.monotonic()
        # The order depends on seed and epoch alone, so that a training that goes on
        # sees the batches that it would have seen without an interruption.
        order = np.random.default_rng((seed, epoch)).permutation(len(x))
        logs = model.fit(
            x[order[: steps * batch_size]],
            batch_size=batch_size,
            shuffle=False,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=1 if sys.stdout.isatty() else 0,
        ).history
        row = {"epoch": epoch, **{name: values[-1] for name, values in logs.items()}}
        row["seconds"] = time.monotonic() - started
        rows.append(row)
        write_whole(history, lambda path: _write_rows(path, rows))
        write_whole(checkpoint, model.save_weights)
        print(
            f"epoch {epoch + 1}/{epochs}: negative ELBO {row['loss']:.2f} nats "
            f"(reconstruction {row['reconstruction']:.2f}, KL {row['kl']:.2f}), "
            f"{row['seconds']:.0f} s, "
            f"{(epochs - epoch - 1) * row['seconds'] / 60:.1f} min left",
            flush=True,
        )
    return rows


def _write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _read_rows(path):
    with path.open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items()}
            | {"epoch": int(row["epoch"])}
            for row in csv.DictReader(file)
        ]


def _draw(model, x_test, run):
    """The pictures of a run folder."""
    rows = model.sample(100, seed=SAMPLE_SEED).reshape(10, 10, *model.image_shape)
    figure = plots.image_grid(rows, title="drawn from the model")
    write_whole(run / "samples.png", lambda path: figure.savefig(path, dpi=100))
    if model.attention != "self":
        return
    images = x_test[:6]
    map_h, map_w = (size // 2 for size in model.image_shape[:2])
    queries = [(row * map_h // 14, col * map_w // 14) for row, col in ATTENTION_QUERIES]
    figure = plots.attention_figure(
        model.reconstruct(images),
        model.attention_maps(images),
        queries,
        title="where the decoder looks while it draws the cross",
    )
    write_whole(run / "attention.png", lambda path: figure.savefig(path, dpi=100))


def evaluate(arguments):
    """`tfattn evaluate RUN`: importance-weighted bounds into metrics.json."""
    model, result = _load_run(arguments.run)
    dataset = data.load(result["data"])
    x_test = data.binarize(dataset.x_test, TEST_DRAW_SEED)
    # A seeded subset: the first images of MNIST's test set are easier than the rest.
    subset = np.random.default_rng(0).permutation(len(x_test))[: arguments.subset_size]
    bounds = {"negative_elbo": metrics.mean_estimate(-model.elbo(x_test))}
    for images, num_samples, words in (
        (x_test, arguments.num_samples, "all test images"),
        (x_test[np.sort(subset)], arguments.subset_num_samples, "a random subset"),
    ):
        print(f"L_{num_samples} on {words}", flush=True)
        progress = keras.utils.Progbar(len(images), verbose=1)
        parts = []
        for start in range(0, len(images), 100):
            part = images[start : start + 100]
            parts.append(
                model.log_likelihood(part, num_samples=num_samples, seed=start)
            )
            progress.add(len(part))
        bounds[f"negative_log_likelihood_{num_samples}"] = metrics.mean_estimate(
            -np.concatenate(parts)
        )
    for name, estimate in bounds.items():
        result[name] = estimate._asdict()
        _print_estimate(f"test {name}", result[name])
    _write_json(arguments.run / "metrics.json", result)


def sample(arguments):
    """`tfattn sample RUN`: a sheet of new images."""
    if arguments.num_images < 1:
        raise ValueError(
            f"Expected --num-images >= 1. Received: {arguments.num_images}"
        )
    model, _ = _load_run(arguments.run)
    columns = min(10, arguments.num_images)
    rows = -(-arguments.num_images // columns)
    images = np.ones((rows * columns, *model.image_shape), "float32")
    images[: arguments.num_images] = model.sample(
        arguments.num_images, seed=arguments.seed
    )
    figure = plots.image_grid(images.reshape(rows, columns, *model.image_shape))
    out = arguments.out or arguments.run / f"samples_seed{arguments.seed}.png"
    write_whole(out, lambda path: figure.savefig(path, dpi=100))
    print(out)


def _load_run(run):
    for name in ("model.keras", "metrics.json"):
        if not (run / name).exists():
            raise ValueError(
                f"Expected a finished run with {name} in {run}. Found none; "
                "`tfattn train vae` makes one."
            )
    model = keras.saving.load_model(run / "model.keras")
    return model, json.loads((run / "metrics.json").read_text())


def _protocol(name):
    if name == "binarized_mnist":
        return "static binarisation (Larochelle), 50 000 training images"
    return (
        "dynamic binarisation: training images drawn anew in each step, test images "
        f"drawn once with seed {TEST_DRAW_SEED}"
    )


def _print_estimate(name, estimate):
    print(
        f"{name}: {estimate['value']:.2f} nats per image "
        f"(95 % interval {estimate['low']:.2f} to {estimate['high']:.2f}, "
        f"{estimate['num_images']} images)",
        flush=True,
    )


def _write_json(path, content):
    write_whole(path, lambda part: part.write_text(json.dumps(content, indent=2)))


def write_whole(path, write):
    """Lets `write` fill a temporary file, then gives it its name in one step."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def build_parser():
    parser = argparse.ArgumentParser(prog="tfattn", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("train", help="train a model into a run folder")
    command.add_argument("system", choices=["vae"])
    command.add_argument(
        "--data",
        choices=data.NAMES,
        help="data set (default: mnist, or the embedded digits if it cannot be had)",
    )
    command.add_argument(
        "--attention",
        choices=["self", "module", "residual", "uniform", "none"],
        default="self",
    )
    command.add_argument("--epochs", type=int, default=20)
    command.add_argument("--out", type=Path, help="run folder (default: runs/vae_DATA)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run"
    )
    command.set_defaults(action=train)

    command = commands.add_parser("evaluate", help="measure a finished run")
    command.add_argument("run", type=Path)
    command.add_argument("--num-samples", type=int, default=64)
    command.add_argument("--subset-size", type=int, default=1000)
    command.add_argument("--subset-num-samples", type=int, default=5000)
    command.set_defaults(action=evaluate)

    command = commands.add_parser("sample", help="draw a sheet of new images")
    command.add_argument("run", type=Path)
    command.add_argument("--num-images", type=int, default=100)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--out", type=Path, help="PNG file to write")
    command.set_defaults(action=sample)
    return parser


def main(arguments=None):
    arguments = build_parser().parse_args(arguments)
    try:
        arguments.action(arguments)
    except (ValueError, data.DataUnavailableError) as error:
        sys.exit(f"tfattn: {error}")
    except KeyboardInterrupt:
        sys.exit("\ntfattn: interrupted; the same command with --resume goes on")


if __name__ == "__main__":
    main()
