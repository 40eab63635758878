"""The command `tfattn`: trains and measures models, and uses them on images."""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

from tfattn.cli.parser import build_parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of the command; ends the process for help and for mistakes."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Greek letters shows question marks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return build_parser().parse_args(arguments)


def run(parsed: argparse.Namespace) -> None:
    """Does what the arguments ask for; imports Keras and its backend."""
    from tfattn.data import DataUnavailableError

    try:
        # A module for each action, with a function of its name.
        module = importlib.import_module(f"tfattn.cli.{parsed.action}")
        getattr(module, parsed.action)(parsed)
    # An ImportError names a package that is missing.
    except (ValueError, OSError, ImportError, DataUnavailableError) as error:
        sys.exit(f"tfattn: {error}")
    except KeyboardInterrupt as interruption:
        sys.exit(f"\ntfattn: interrupted{interruption}")


def main(arguments: Sequence[str] | None = None) -> None:
    run(parse(arguments))
