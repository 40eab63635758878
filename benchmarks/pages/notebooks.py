"""What is done to the notebooks after their full runs, before they are committed."""

import base64
import io
import json

from pages.blocks import ROOT, with_block
from PIL import Image

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Bytes of a notebook, above which its pictures get 256 colors.
LARGE = 1_000_000


def runtime(number):
    """How long the last full run took, in words."""
    path = ROOT / "notebooks" / "results" / f"{number}.json"
    last = json.loads(path.read_text(encoding="utf-8"))
    minutes = round(last["cpu_seconds"] / 60)
    words = f"about {minutes} minute{'s' * (minutes > 1)}"
    found = (
        f"A full run on {last['device']}, without a GPU, needs "
        f"{'less than a minute' if minutes < 1 else words} of processor time, summed "
        "over the cores. By the clock it takes between half of that and all of it on "
        "an idle machine, and longer on a busy one."
    )
    if minutes < 1:
        return found
    return f"{found} A GPU should shorten the trainings; this was not measured."


def shrunk(png, with_loss):
    """The picture in fewer bytes: up to 256 colors need one byte for a pixel.

    More colors are kept, but `with_loss` the nearest 256 take their place.
    """
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "RGB" and image.getcolors(256):
        indexed = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
        if indexed.convert("RGB").tobytes() == image.tobytes():
            image = indexed
    elif image.mode == "RGB" and with_loss:
        image = image.quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def tidy(notebook, with_loss):
    """Takes out when cells ran, joins what was printed in pieces, shrinks pictures."""
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        joined = []
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                output["data"]["image/png"] = min(
                    picture, shrunk(picture, with_loss), key=len
                )
            last = joined[-1] if joined else {}
            if output.get("name") and output["name"] == last.get("name"):
                last["text"] = [*last["text"], *output["text"]]
            else:
                joined.append(output)
        if "outputs" in cell:
            cell["outputs"] = joined


def write_notebooks():
    """Tidies each notebook, and fills the block with its runtime."""
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        tidy(notebook, path.stat().st_size > LARGE)
        about = [c for c in notebook["cells"] if c["cell_type"] == "markdown"][1]
        text = with_block("".join(about["source"]), "runtime", runtime(path.stem[:2]))
        about["source"] = text.splitlines(keepends=True)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
