"""`tfattn complete`: answers for what is hidden of a picture."""

import argparse

from tfattn import plots
from tfattn._checks import check_integer
from tfattn.cli.output import check_free, new_folder, write_each
from tfattn.data import pictures
from tfattn.data.pasting import paste
from tfattn.models import AttentionFlow, CompletionVAE, load_pretrained
from tfattn.training.runs import load_run, write_figure


def complete(arguments: argparse.Namespace) -> None:
    """`tfattn complete IMAGE`: several answers for what a mask hides of a picture."""
    check_integer("--num-samples", arguments.num_samples, 1)
    if not arguments.image.is_file():
        raise ValueError(f"Expected a picture file. Received: {arguments.image}")
    out = arguments.out or arguments.image.with_name(
        f"{arguments.image.stem}_completed"
    )
    check_free(out)
    if arguments.run is None:
        model = load_pretrained("completion_olivetti")
    else:
        model, _ = load_run(arguments.run)
    if not isinstance(model, CompletionVAE | AttentionFlow):
        raise ValueError(
            "Expected the run of a completion model or of a flow. "
            f"Received: {arguments.run} with {type(model).__name__}"
        )
    image, words = pictures.read_picture(arguments.image, model.image_shape)
    visible, words_on_mask = pictures.read_mask(
        arguments.mask, model.image_shape[:2], arguments.image
    )
    completions = model.complete(
        image[None], visible, num_samples=arguments.num_samples, seed=arguments.seed
    )
    print(f"{words}\n{words_on_mask}")
    if arguments.paste:
        answers, words = paste(completions[0], visible, arguments.mask, arguments.image)
        print(words)
    else:
        answers = [pictures.as_picture(completion) for completion in completions[0]]
    figure = plots.completion_figure(image[None], visible, completions)
    with new_folder(out) as folder:
        write_each(folder, answers)
        write_figure(folder / "sheet.png", figure)
    print(out)
