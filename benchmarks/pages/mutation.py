"""The mutants of the mathematics and the layers, and those that no test kills."""

from collections import Counter

from .blocks import results, table


def block() -> list[str]:
    """The score of each file, and the survivors."""
    found = results("mutation")
    alive = Counter(survivor["file"] for survivor in found["survivors"].values())
    files = found["files"]
    rows = [_row(f"`{file}`", n, alive[file]) for file, n in files.items()]
    survivors = [
        [
            f"`{survivor['file']}`, `{survivor['in'] or 'module'}`",
            _code(survivor["line"]),
            _code(survivor["mutant"]),
            ", ".join(survivor["backends"]),
            survivor["reason"],
        ]
        for survivor in found["survivors"].values()
    ]
    return [
        *table(
            ["file", "mutants", "killed", "survivors", "score"],
            [*rows, _row("all", sum(files.values()), alive.total())],
        ),
        "",
        *table(
            ["survivor in", "line", "mutant", "survived on", "why no test can see it"],
            survivors,
        ),
    ]


def _row(name, mutants, survivors):
    killed = mutants - survivors
    return [name, mutants, killed, survivors, f"{killed / mutants:.1%}"]


def _code(line):
    return f"`{line}`".replace("|", "\\|")
