"""`tfattn train`: from data to a finished run folder."""

import argparse
import importlib
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import keras

import tfattn
from tfattn._checks import check_integer
from tfattn.cli.early_stopping import is_over
from tfattn.cli.rehearsal import check_disk, check_memory, rehearse
from tfattn.cli.run_data import DATA_OPTIONS, described_data, load_data
from tfattn.cli.summary import print_summary
from tfattn.cli.systems import SYSTEMS
from tfattn.cli.systems.base import System
from tfattn.data import Dataset
from tfattn.models.base import ImageModel
from tfattn.training.locks import locked
from tfattn.training.runs import RunFolder, differences, read_json, write_json

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


def train(arguments: argparse.Namespace) -> None:
    """`tfattn train SYSTEM`: from a data set's name to a finished run folder."""
    system = SYSTEMS[arguments.system]
    check_integer("--epochs", arguments.epochs, 1)
    check_integer("--seed", arguments.seed, 0)
    patience = getattr(arguments, "patience", None)  # a GAN has none
    if patience is not None:
        check_integer("--patience", patience, 1)
        if getattr(arguments, "adversarial", False):
            raise ValueError(
                "The losses of an adversarial training do not say when it is done. "
                f"Expected no --patience. Received: --patience {patience}"
            )
    name = Path(arguments.data).resolve().name
    run = arguments.out or Path("runs") / f"{arguments.system}_{name}"
    callbacks = [_tensorboard(run)] if arguments.tensorboard else []
    not_config = ("action", "out", "resume", "tensorboard")
    config = {k: v for k, v in vars(arguments).items() if k not in not_config}
    config |= described_data(system, arguments, run)
    config["versions"] = _versions()
    check_run(run, config, arguments.resume)
    dataset = load_data(config)
    if len(dataset.x_test) < 2:
        raise ValueError(
            "Expected at least four different pictures, to train on and to measure "
            f"with. Received: {dataset.source}"
        )
    keras.utils.set_random_seed(arguments.seed)
    not_options = ("system", "epochs", "patience", "versions", *DATA_OPTIONS)
    options = {k: v for k, v in config.items() if k not in not_options}
    model = system.build(dataset, **options)
    batches, held_out = system.training(model, dataset, arguments.seed, patience)
    folder = RunFolder(run, batches)
    run.mkdir(parents=True, exist_ok=True)
    try:
        with locked(run):
            # Another process may have begun, or gone on, in the meantime.
            other_versions = check_run(run, config, arguments.resume)
            if other_versions:
                print(f"other versions, which may round otherwise: {other_versions}")
            first_epoch = system.restored(model, folder, arguments.epochs)
            over = is_over(folder.rows, patience)
            if over and arguments.epochs > read_json(run / "config.json")["epochs"]:
                raise ValueError(
                    f"The training in {run} stopped early, after epoch {first_epoch}. "
                    "Expected the same --epochs, or another --out for more. Received: "
                    f"--epochs {arguments.epochs}"
                )
            print_start(dataset)
            if held_out is not None:
                num_held_out = len(dataset.x_train) - len(batches.arrays[0])
                print(f"held out: {num_held_out} training images")
            if first_epoch < arguments.epochs and not over:
                check_memory(model, folder.batches.batch_size)
                check_disk(run, model)
                print(
                    "trial run: saving, measuring and drawing the untrained model",
                    flush=True,
                )
                rehearse(system, model, dataset, run, config)
            write_json(run / "config.json", config)
            rows = system.fit(
                model,
                folder,
                first_epoch,
                arguments.epochs,
                callbacks,
                held_out,
                patience,
            )
            finish(system, model, dataset, run, config, rows)
    except KeyboardInterrupt:
        if (run / "config.json").exists():
            raise KeyboardInterrupt(
                "; the same command with --resume goes on"
            ) from None
        raise


def finish(
    system: System,
    model: ImageModel,
    dataset: Dataset,
    run: Path,
    config: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    """Measures and draws a trained model into its run folder, and says what came out.

    Args:
        system: The kind of model.
        model: The trained model.
        dataset: What it was trained on.
        run: Path of the folder.
        config: Dictionary of what the run was asked to do.
        rows: Rows of its history.
    """
    print("measuring on the test set", flush=True)
    result = {
        **config,
        "source": dataset.source,
        "class_names": dataset.class_names,
        "parameters": model.count_params(),
        "epochs_trained": len(rows),
        "training_seconds": round(sum(row["seconds"] for row in rows)),
        "machine": f"{_device()}, {keras.backend.backend()}",
        **system.measure(model, dataset),
    }
    write_json(run / "metrics.json", result)
    system.draw(model, dataset, run)
    print_summary(run, result, system)


def _tensorboard(run):
    """Keras's callback; ValueError if TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "--tensorboard needs the package tensorboard, which is not installed. "
            "Expected: pip install tensorboard"
        )
    return keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False)


def check_run(run: Path, config: dict[str, Any], resume: bool) -> str:
    """Checks that a folder is free, or with `resume` that it is the one to go on with.

    Args:
        run: Path of the folder.
        config: Dictionary of what the run is asked to do.
        resume: Whether the folder is expected to hold a run with this `config`. There
            may be more epochs now, and other versions.

    Returns:
        Words for the versions that are not those of the run.

    Raises:
        ValueError: If it does not, or if it does without `resume`.
    """
    path = run / "config.json"
    if not path.exists():
        if resume:
            raise ValueError(f"Expected a run to resume in {run}. Found none.")
        return ""
    if not resume:
        raise ValueError(
            f"{run} already holds a run. Expected --resume to go on with it, or "
            "another --out."
        )
    found = read_json(path)
    versions = differences(found.get("versions", {}), config["versions"])
    like = {**config, "versions": found.get("versions")}
    if config["epochs"] > found.get("epochs", 0):
        like["epochs"] = found.get("epochs")
    different = differences(found, like)
    if different:
        raise ValueError(
            f"Expected the arguments that {run} was started with, or more epochs. "
            f"Different: {different}"
        )
    return versions


def _versions():
    """Of what computes."""
    backend = keras.backend.backend()
    return {
        "tfattn": tfattn.__version__,
        "keras": keras.__version__,
        # Its distribution may have another name: tensorflow-cpu, tf-nightly.
        backend: importlib.import_module(backend).__version__,
        "python": platform.python_version(),
    }


def print_start(dataset: Dataset) -> None:
    """Prints what is trained on, and where."""
    print(
        f"data: {dataset.name}, {len(dataset.x_train)} training images and "
        f"{len(dataset.x_test)} test images ({dataset.source})\n"
        f"device: {_device()}",
        flush=True,
    )
    if _num_gpus() and GROWTH not in os.environ:
        print(
            "TensorFlow reserves nearly all GPU memory. Set "
            f"{GROWTH}=true to use only what is needed.",
            flush=True,
        )


def _device():
    """The device in words."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        return f"chosen by {backend}"
    cores, gpus = f"{os.cpu_count()} CPU cores", _num_gpus()
    return f"{gpus} GPU and {cores}" if gpus else f"{cores}, no GPU found"


def _num_gpus():
    """The GPUs that TensorFlow sees, none on another backend."""
    if keras.backend.backend() != "tensorflow":
        return 0
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))
