"""What the command says of a finished training."""

import shlex
import sys
import textwrap
from pathlib import Path
from typing import Any

from tfattn.cli.parser import build_parser
from tfattn.cli.systems.base import System


def print_summary(run: Path, result: dict[str, Any], system: System) -> None:
    """Prints the result in words, the pictures, and commands to try next."""
    drawn = [
        (str(run / name), words)
        for name, words in system.pictures
        if (run / name).exists()
    ]
    ideas = system.next_commands(run)
    if 2 * result["epochs"] <= system.recipe.epochs:
        words = f"the full training, {system.recipe.epochs} epochs"
        ideas.append((full_training(run, result), words))
    else:
        ideas.append((["evaluate", str(run)], "measure the model again, thoroughly"))
    program = ["python", "-m", "tfattn"]
    if Path(sys.argv[0]).stem == "tfattn":
        program = [sys.argv[0]]
    ideas = [(shlex.join([*program, *command]), words) for command, words in ideas]
    print(f"\n{textwrap.fill(system.in_words(result), 79)}")
    for title, rows in (("pictures to open", drawn), ("what to try next", ideas)):
        print(f"\n{title}:")
        width = max((len(left) for left, _ in rows), default=0)
        for left, words in rows:
            print(f"  {left:{width}}   {words}")


def full_training(run: Path, result: dict[str, Any]) -> list[str]:
    """The arguments of the same training with all epochs, in a folder of its own."""
    arguments = ["train", result["system"]]
    defaults = vars(build_parser().parse_args(arguments))
    for name, default in defaults.items():
        value = result.get(name, default)
        if name == "epochs" or value == default:
            continue
        arguments.append(f"--{name.replace('_', '-')}")
        if value is not True:
            arguments.append(str(value))
    return [*arguments, "--out", f"{run}_full"]
