"""`tfattn evaluate`: the long measurement of a finished run."""

import argparse
import textwrap
from pathlib import Path

from tfattn import data
from tfattn._checks import check_integer
from tfattn.cli.output import check_writable
from tfattn.cli.run_data import check_unchanged, load_data
from tfattn.cli.systems import system_of
from tfattn.models import ImageClassifier
from tfattn.training.runs import load_run, write_json


def evaluate(arguments: argparse.Namespace) -> None:
    """`tfattn evaluate RUN`: the long measurement, into metrics.json."""
    check_integer("--num-samples", arguments.num_samples, 1)
    # One image has a mean and no interval.
    check_integer("--subset-size", arguments.subset_size, 2)
    check_integer("--subset-num-samples", arguments.subset_num_samples, 1)
    check_writable(arguments.run / "metrics.json")
    model, result = load_run(arguments.run)
    system = system_of(result)
    options = {k: v for k, v in vars(arguments).items() if k not in ("action", "run")}
    if arguments.features not in (None, "inception"):
        options["features"], _ = load_run(Path(arguments.features))
        if not isinstance(options["features"], ImageClassifier):
            raise ValueError(
                "Expected --features to be the run of a classifier, or inception. "
                f"Received: {arguments.features}"
            )
    dataset = load_data(result)
    if result["data"] not in data.NAMES:
        patience = result.get("patience")
        batches, _ = system.training(model, dataset, result["seed"], patience)
        check_unchanged(arguments.run, batches)
    result |= system.evaluate(model, dataset, **options)
    write_json(arguments.run / "metrics.json", result)
    print(f"\n{textwrap.fill(system.in_words(result), 79)}")
