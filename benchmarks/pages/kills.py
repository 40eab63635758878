"""In how many cases of each hazard the command lost nothing."""

from pages.blocks import results, table

HAZARDS = {
    "test_killed": "killed at a random moment",
    "test_asked_to_stop": "Ctrl-C, or SIGTERM",
    "test_no_file_may_grow": "files may not grow beyond some kilobytes",
    "test_full_disk": "the disk is full",
    "test_read_only": "the disk is read-only",
    "test_two_trainings_in_one_folder": "a second training in the same folder",
    "test_damaged": "a damaged file",
}
COMMANDS = {
    "train": "`train`",
    "evaluate": "`evaluate`",
    "generate": "`generate`",
    "each": "`generate --each`",
    "complete": "`complete`",
}


def block() -> list[str]:
    """A row for each hazard, a column for each command."""
    found = results("kills")
    counts = {(row["test"], row["command"]): row for row in found["tests"]}
    unknown = {test for test, _ in counts} - set(HAZARDS)
    if unknown:
        raise ValueError(f"Expected words for all tests. Received: none for {unknown}")
    rows = [
        [words, *(_cell(counts.get((test, command))) for command in COMMANDS)]
        for test, words in HAZARDS.items()
    ]
    return [
        *table(["", *COMMANDS.values()], rows),
        "",
        "Each cell says in how many cases nothing was lost. Protocol: "
        f"{found['protocol']}. Measured on {found['machine']}.",
    ]


def _cell(row):
    passed, failed = (row or {}).get("passed", 0), (row or {}).get("failed", 0)
    return f"{passed} of {passed + failed}" if passed + failed else "–"
