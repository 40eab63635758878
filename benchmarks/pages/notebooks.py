"""The line in each notebook that says how long it runs."""

import json

from pages.blocks import ROOT, with_block

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def runtime(number):
    """How long the last full run took, in words."""
    path = ROOT / "notebooks" / "results" / f"{number}.json"
    last = json.loads(path.read_text(encoding="utf-8"))
    minutes = round(last["seconds"] / 60)
    words = f"about {minutes} minute{'s' * (minutes > 1)}"
    return (
        f"The last full run took {'less than a minute' if minutes < 1 else words} on "
        f"{last['device']}, without a GPU. A GPU shortens the trainings; how much was "
        "not measured."
    )


def write_runtimes():
    """Fills the block of each notebook; all else in the file stays as it is."""
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        about = [c for c in notebook["cells"] if c["cell_type"] == "markdown"][1]
        text = with_block("".join(about["source"]), "runtime", runtime(path.stem[:2]))
        about["source"] = text.splitlines(keepends=True)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
