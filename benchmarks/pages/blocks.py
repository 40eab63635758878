"""Results files, and blocks of Markdown that a program writes from them."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def results(name: str) -> dict[str, Any]:
    """What a benchmark measured: a file of benchmarks/results."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def with_block(text: str, name: str, content: str) -> str:
    """The text with the block `<!-- name --> … <!-- /name -->` filled anew."""
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda found: f"{found[1]}{content}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def interval(estimate: dict[str, float], decimals: int = 2) -> str:
    """A value with its interval."""
    value, low, high = (
        f"{estimate[key]:.{decimals}f}" for key in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


def share(estimate: dict[str, float]) -> str:
    """A share of all images with its interval, in percent."""
    low, high = max(0, estimate["low"]), min(1, estimate["high"])
    return f"{estimate['value']:.1%} ({low:.1%} to {high:.1%})"


def nats(estimate: dict[str, float]) -> str:
    """A value with its interval and the number of images behind it."""
    return f"{interval(estimate)}, {estimate['num_images']} images"


def range_of_draws(measure: dict[str, float] | None) -> str:
    """Mean and range over draws, with as many decimals as a small number needs."""
    if measure is None:
        return "–"
    decimals = 2 if measure["mean"] >= 1 else 4 if measure["mean"] < 0.1 else 3
    mean, lowest, highest = (
        f"{measure[key]:.{decimals}f}" for key in ("mean", "lowest", "highest")
    )
    return mean if lowest == highest else f"{mean} ({lowest} to {highest})"
