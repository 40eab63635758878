"""The command `tfattn`: train and measure models, generate and complete images."""

import io
import sys
from collections.abc import Sequence

from tfattn import data
from tfattn.cli.complete import complete
from tfattn.cli.evaluate import evaluate
from tfattn.cli.generate import generate
from tfattn.cli.parser import build_parser
from tfattn.cli.train import train

ACTIONS = {
    "train": train,
    "evaluate": evaluate,
    "generate": generate,
    "complete": complete,
}


def main(arguments: Sequence[str] | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Greek letters shows question marks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parsed = build_parser().parse_args(arguments)
    try:
        ACTIONS[parsed.action](parsed)
    except (ValueError, OSError, data.DataUnavailableError) as error:
        sys.exit(f"tfattn: {error}")
    except KeyboardInterrupt:
        resume = "; the same command with --resume goes on"
        sys.exit(f"\ntfattn: interrupted{resume if parsed.action == 'train' else ''}")
