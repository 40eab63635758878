"""What `tfattn complete`, `describe` and `enlarge` take: a picture and a run."""

from pathlib import Path
from typing import TypeVar

from tfattn.models import load_pretrained
from tfattn.models.base import ImageModel
from tfattn.training.runs import load_run

ModelT = TypeVar("ModelT", bound=ImageModel)


def check_picture(path: Path) -> None:
    """ValueError unless there is such a file."""
    if not path.is_file():
        raise ValueError(f"Expected a picture file. Received: {path}")


def load_model(
    run: Path | None, default: str, kinds: tuple[type[ModelT], ...], words: str
) -> ModelT:
    """The model of a run, or without one a model of the package.

    Args:
        run: Path of the run folder, or `None`.
        default: Name of the model in the package, see `load_pretrained`.
        kinds: Classes that the model may have.
        words: For the kind of run that is expected, behind "the run of".

    Raises:
        ValueError: For the run of a model of another class, or none.
    """
    if run is None:
        return load_pretrained(default)
    model, _ = load_run(run)
    if not isinstance(model, kinds):
        raise ValueError(
            f"Expected the run of {words}. Received: {run} with {type(model).__name__}"
        )
    return model
