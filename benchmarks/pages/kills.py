"""What was done to the command, and after how many times nothing was lost."""

from .blocks import results, table

COMMANDS = ("train", "evaluate", "generate", "each", "complete")
WORDS = {
    "test_killed": "killed (SIGKILL)",
    "test_asked_to_stop": "Ctrl-C or SIGTERM",
    "test_no_file_may_grow": "a limit on the size of files, from 0 to 4096 KiB",
    "test_full_disk": "a disk with 4 to 3000 KiB left",
    "test_read_only": "a folder on a read-only disk",
    "test_two_trainings_in_one_folder": "another training in the same folder",
    "test_damaged": "a file that is empty, cut in half or changed",
}


def block() -> list[str]:
    """A row for each kind of interruption, a column for each command."""
    found = {}
    for row in results("kills")["tests"]:
        passed, failed = row.get("passed", 0), row.get("failed", 0)
        if passed or failed:
            found[row["test"], row["command"]] = f"{passed} of {passed + failed}"
    rows = [
        [words, *(found.get((test, command), "–") for command in COMMANDS)]
        for test, words in WORDS.items()
    ]
    heads = [
        f"`{command}`" if command != "each" else "`generate --each`"
        for command in COMMANDS
    ]
    return table(["", *heads], rows)
