"""What `tfattn train` can be asked for, system by system.

Here is what the help needs. It imports neither Keras nor a backend, which take seconds;
`tfattn.cli.systems` does the work.
"""

import argparse
from abc import ABC, abstractmethod

from tfattn._choices import ATTENTIONS, DATA_SETS, EPOCHS

# Of a folder's pictures, by default.
IMAGE_SIZE = 32


class Options(ABC):
    """The options of one system. The docstring of a subclass is its help.

    Attributes:
        name: Its name.
        data: Names of the data sets that it takes, the default first.
        takes_folders: Whether it takes a folder of pictures as well.
        takes_labels: Whether the model may have the classes of images.
        takes_patience: Whether its loss says when a training is done.
    """

    name: str
    data: tuple[str, ...]
    takes_folders: bool = True
    takes_labels: bool = False
    takes_patience: bool = True

    @property
    def epochs(self) -> int:
        """Passes over the training images, by default."""
        return EPOCHS[self.name]

    @abstractmethod
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options that only this system has."""

    def _add_attention(self, parser):
        kinds = [kind or "none" for kind in ATTENTIONS[self.name]]
        parser.add_argument(
            "--attention",
            choices=kinds,
            default="self",
            help="the attention layers, or a control for comparison (default: self)",
        )

    def _add_mixed_precision(self, parser):
        parser.add_argument(
            "--mixed-precision",
            action="store_true",
            help="compute in bfloat16: faster on processors and GPUs with instructions "
            "for it, many times slower on others",
        )


class VAEOptions(Options):
    """A variational autoencoder with attention."""

    name = "vae"
    # Faces have sides of 25 pixels, which are not divisible by 4.
    data = tuple(name for name in DATA_SETS if name != "faces")
    takes_labels = True

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_attention(parser)
        parser.add_argument(
            "--condition",
            choices=["none", "class"],
            default="none",
            help="what the images are generated from: nothing, or their class, where "
            "the data has classes (default: none)",
        )


class GANOptions(Options):
    """A self-attention GAN."""

    name = "gan"
    takes_patience = False
    data = ("mnist", "fashion_mnist", "digits", "avatars", "cifar10", "olivetti")
    takes_labels = True

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_attention(parser)
        self._add_mixed_precision(parser)


class FlowOptions(Options):
    """A flow from noise to images, with attention (flow matching)."""

    name = "flow"
    data = (*GANOptions.data, "binarized_mnist")
    takes_labels = True

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_attention(parser)
        self._add_mixed_precision(parser)
        parser.add_argument(
            "--condition",
            choices=["class", "text"],
            default="class",
            help="what the images are generated from: their class, where the data has "
            "classes, or a sentence, for avatars (default: class)",
        )
        parser.add_argument(
            "--completes",
            action="store_true",
            help="show the network a part of most training images, so that it learns "
            "to complete them",
        )


class TransformerOptions(Options):
    """A Transformer that writes images token by token."""

    name = "transformer"
    # Faces have sides of 25 pixels, which no patch of two divides, or 1024 tokens.
    data = tuple(name for name in DATA_SETS if name not in ("olivetti", "faces"))
    takes_labels = True

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--condition",
            choices=["none", "class", "text"],
            default="none",
            help="what the images are generated from: nothing, a class, or a text with "
            "the names of two digits (default: none)",
        )
        parser.add_argument(
            "--order",
            choices=["raster", "coarse_to_fine"],
            default="raster",
            help="in which order the model writes the pixels: row by row, or first a "
            "coarse image, which it can then also be given to enlarge (default: "
            "raster)",
        )
        self._add_mixed_precision(parser)


class TranslatorOptions(Options):
    """A model that turns line drawings into images (image translation)."""

    name = "translator"
    data = (
        "fashion_mnist",
        *(name for name in TransformerOptions.data if name != "fashion_mnist"),
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_mixed_precision(parser)


class CompletionOptions(Options):
    """A model that fills in hidden parts of faces or digits."""

    name = "completion"
    data = ("olivetti", *(name for name in DATA_SETS if name != "olivetti"))

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_attention(parser)
        parser.add_argument(
            "--adversarial",
            action="store_true",
            help="add a discriminator: completions are sharper and less accurate",
        )
        parser.add_argument(
            "--gate", action="store_true", help="add an attention gate to the decoder"
        )
        self._add_mixed_precision(parser)


class CaptionerOptions(Options):
    """A model that describes images in words."""

    name = "captioner"
    data = ("mnist", "digits", "avatars")
    # Pictures in folders have no texts.
    takes_folders = False

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        self._add_mixed_precision(parser)


class ClassifierOptions(Options):
    """A classifier, whose features compare generated with real images."""

    name = "classifier"
    takes_labels = True
    data = ("mnist", "fashion_mnist", "digits", "cifar10")

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--binarize",
            action="store_true",
            help="train on black and white pixels, which are sampled anew in each step",
        )


OPTIONS: dict[str, Options] = {
    options.name: options
    for options in (
        VAEOptions(),
        GANOptions(),
        FlowOptions(),
        TransformerOptions(),
        TranslatorOptions(),
        CompletionOptions(),
        CaptionerOptions(),
        ClassifierOptions(),
    )
}
