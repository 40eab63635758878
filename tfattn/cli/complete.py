"""`tfattn complete`: answers for what is hidden of a picture."""

import argparse

from tfattn import plots
from tfattn._checks import check_integer
from tfattn.cli.inputs import check_picture, load_model
from tfattn.cli.output import check_free, write_answers
from tfattn.data import pictures
from tfattn.data.pasting import paste
from tfattn.models import AttentionFlow, CompletionVAE


def complete(arguments: argparse.Namespace) -> None:
    """`tfattn complete IMAGE`: several answers for what a mask hides of a picture."""
    check_integer("--num-samples", arguments.num_samples, 1)
    check_picture(arguments.image)
    out = arguments.out or arguments.image.with_name(
        f"{arguments.image.stem}_completed"
    )
    check_free(out)
    default, kinds = "completion_olivetti", (CompletionVAE, AttentionFlow)
    words_on_run = "a completion model or of a flow"
    model = load_model(arguments.run, default, kinds, words_on_run)
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
    write_answers(out, answers, figure)
