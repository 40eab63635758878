"""Attention in the completion VAE against its controls, by paired trainings.

python benchmarks/completion_arms.py train FOLDER --seeds 0 1 2 3 4 5 --epochs 15
python benchmarks/completion_arms.py summarize FOLDER

With the same seed all arms see the same faces, masks and changes. Their initial weights
come from the same seed, too, but are not the same where an attention layer has taken
numbers before. `train` writes a file for each arm and seed and leaves out what is
there; on a GPU `--processes 12` trains as many at once. `summarize` writes
`results/completion_arms.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ARMS = ("self", "residual", "uniform", "none")
MEASURES = (
    *("psnr", "ssim", "psnr_of_one", "ssim_of_one", "best_psnr", "best_ssim"),
    *("diversity", "bits_per_hidden_pixel"),
)


def train(arguments):
    """All arms and seeds, `arguments.processes` at a time."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    waiting = [
        (arm, seed)
        for seed in arguments.seeds
        for arm in ARMS
        if not (arguments.folder / f"{arm}_{seed}.json").exists()
    ]
    running = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        if waiting and len(running) < arguments.processes:
            arm, seed = waiting.pop(0)
            one = ["one", str(arguments.folder), "--arm", arm, "--seed", str(seed)]
            one += ["--epochs", str(arguments.epochs)]
            running.append(
                subprocess.Popen(
                    [sys.executable, __file__, *one],
                    # Several processes share the memory of a GPU.
                    env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
                )
            )
        time.sleep(0.2)


def train_one(arguments):
    """One training, as `tfattn train completion` does it, and each face's measures."""
    import keras

    from tfattn import data
    from tfattn.cli.systems import completion
    from tfattn.data import masks
    from tfattn.training import runs

    system = completion.CompletionSystem()
    dataset = data.load("olivetti")
    keras.utils.set_random_seed(arguments.seed)
    model = system.build(
        dataset,
        seed=arguments.seed,
        attention=arguments.arm,
        adversarial=False,
        gate=False,
        mixed_precision=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        batches = system.batches(model, dataset, arguments.seed)
        run_folder = runs.RunFolder(folder, batches)
        first_epoch = system.restored(model, run_folder, arguments.epochs)
        system.fit(model, run_folder, first_epoch, arguments.epochs)
    x = dataset.x_test
    content = {
        "protocol": completion.protocol(dataset, model, x),
        "epochs": arguments.epochs,
        "parameters": model.count_params(),
        "backend": keras.backend.backend(),
        "device": _device(),
        "gammas": model.gammas(),
    }
    for mask in completion.MEASURED_MASKS:
        visible = masks.draw(mask, len(x), model.image_shape[:2])
        found = completion.quality(model, x, visible)
        content[mask] = {name: found[name].tolist() for name in MEASURES}
    runs.write_json(
        arguments.folder / f"{arguments.arm}_{arguments.seed}.json", content
    )


def summarize(arguments):
    """Means over faces and seeds, and differences to the arm without attention."""
    import numpy as np

    from tfattn import data
    from tfattn.cli.systems import completion
    from tfattn.evaluation import metrics
    from tfattn.training import runs

    people = data.load("olivetti").y_test
    files = {
        arm: [
            json.loads(path.read_text())
            for path in sorted(arguments.folder.glob(f"{arm}_*.json"))
        ]
        for arm in ARMS
    }
    first = files["none"][0]
    summary = {
        "protocol": first["protocol"],
        "pairs": f"{len(files['none'])} seeds of each arm, the same for all arms: "
        "same faces, masks and changes in each step; initial weights differ where an "
        "attention layer has taken random numbers before; "
        f"{first['epochs']} epochs; differences: to the arm "
        "without attention, face by face and seed by seed, averaged over seeds; "
        "intervals of differences: bootstrap over faces, over the ten people, and "
        "over seeds",
        "device": f"{first['device']}, {first['backend']}, bfloat16",
        "parameters": {arm: runs[0]["parameters"] for arm, runs in files.items()},
        "gammas": {arm: [run["gammas"] for run in runs] for arm, runs in files.items()},
        "arms": {},
        "differences": {},
    }
    for mask in completion.MEASURED_MASKS:
        for measure in MEASURES:
            # (seeds, faces) for each arm.
            values = {
                arm: np.array([run[mask][measure] for run in runs])
                for arm, runs in files.items()
            }
            for arm, of_arm in values.items():
                entry = metrics.bootstrap_estimate(of_arm.mean(axis=0))._asdict()
                entry["by_seed"] = of_arm.mean(axis=1).tolist()
                summary["arms"].setdefault(arm, {}).setdefault(mask, {})[measure] = (
                    entry
                )
                if arm == "none":
                    continue
                difference = of_arm - values["none"]
                by_face = difference.mean(axis=0)
                summary["differences"].setdefault(arm, {}).setdefault(mask, {})[
                    measure
                ] = {
                    "over_faces": metrics.bootstrap_estimate(by_face)._asdict(),
                    "over_people": metrics.bootstrap_estimate(
                        by_face, people
                    )._asdict(),
                    "over_seeds": metrics.bootstrap_estimate(
                        difference.mean(axis=1)
                    )._asdict(),
                    "by_seed": difference.mean(axis=1).tolist(),
                }
    runs.write_json(RESULTS / "completion_arms.json", summary)


def _device():
    try:
        names = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\n")
        return names[0]
    except (OSError, subprocess.CalledProcessError):
        return f"{os.cpu_count()} CPU cores, {platform.machine()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    for name, action in (
        ("train", train),
        ("one", train_one),
        ("summarize", summarize),
    ):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.set_defaults(action=action)
        if name == "train":
            command.add_argument("--seeds", type=int, nargs="+", default=range(6))
            command.add_argument("--processes", type=int, default=1)
        if name == "one":
            command.add_argument("--arm", choices=ARMS)
            command.add_argument("--seed", type=int)
        if name != "summarize":
            command.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    arguments.action(arguments)
