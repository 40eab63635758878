"""Models that the project has trained and measured, with their weights."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, overload

from tfattn.models.captioner.model import ImageCaptioner
from tfattn.models.classifier import ImageClassifier
from tfattn.models.completion.model import CompletionVAE
from tfattn.models.flow.model import AttentionFlow
from tfattn.models.gan.model import SelfAttentionGAN
from tfattn.models.transformer.model import ImageTransformer
from tfattn.models.vae.model import AttentionVAE

WEIGHTS = Path(__file__).parent.parent / "weights"
MODELS = {
    "captioner_mnist": ImageCaptioner,
    "classifier_binarized_mnist": ImageClassifier,
    "classifier_fashion_mnist": ImageClassifier,
    "classifier_mnist": ImageClassifier,
    "completion_olivetti": CompletionVAE,
    "flow_avatars": AttentionFlow,
    "flow_mnist": AttentionFlow,
    "gan_fashion_mnist": SelfAttentionGAN,
    "gan_mnist": SelfAttentionGAN,
    "transformer_mnist": ImageTransformer,
    "transformer_mnist_coarse_to_fine": ImageTransformer,
    "transformer_words": ImageTransformer,
    "vae_avatars": AttentionVAE,
    "vae_mnist": AttentionVAE,
    "vae_mnist_by_class": AttentionVAE,
}


@overload
def load_pretrained(
    name: Literal["vae_avatars", "vae_mnist", "vae_mnist_by_class"],
) -> AttentionVAE: ...
@overload
def load_pretrained(
    name: Literal[
        "transformer_mnist", "transformer_mnist_coarse_to_fine", "transformer_words"
    ],
) -> ImageTransformer: ...
@overload
def load_pretrained(name: Literal["captioner_mnist"]) -> ImageCaptioner: ...
@overload
def load_pretrained(name: Literal["completion_olivetti"]) -> CompletionVAE: ...
@overload
def load_pretrained(name: Literal["flow_avatars", "flow_mnist"]) -> AttentionFlow: ...
@overload
def load_pretrained(
    name: Literal["gan_fashion_mnist", "gan_mnist"],
) -> SelfAttentionGAN: ...
@overload
def load_pretrained(
    name: Literal[
        "classifier_binarized_mnist", "classifier_fashion_mnist", "classifier_mnist"
    ],
) -> ImageClassifier: ...
@overload
def load_pretrained(name: str) -> Any: ...
def load_pretrained(name: str) -> Any:
    """A trained model from the weights inside the package.

    The model is built from its constructor arguments; only arrays are read from the
    weights file, whose sha256 is checked first. How it was trained and what it
    scores is in `weights/<name>.json`, see `pretrained_results`.

    Args:
        name: `"vae_mnist"`: `AttentionVAE` on MNIST, dynamically binarized;
            `"vae_mnist_by_class"`: the same, conditional on the class;
            `"vae_avatars"`: the same in color, on avatars, without classes;
            `"transformer_mnist"`: `ImageTransformer` on MNIST, dynamically binarized;
            `"transformer_mnist_coarse_to_fine"`: the same in order coarse to fine,
            which enlarges small digits;
            `"transformer_words"`: `ImageTransformer` on images of two digits,
            conditional on a text of two number words;
            `"captioner_mnist"`: `ImageCaptioner` of images of two digits;
            `"completion_olivetti"`: `CompletionVAE` on faces of 64×64 pixels;
            `"flow_mnist"`: `AttentionFlow` on MNIST, conditional on the class;
            `"flow_avatars"`: the same on avatars, conditional on a sentence;
            `"gan_mnist"`, `"gan_fashion_mnist"`: `SelfAttentionGAN`, conditional on
            the class;
            `"classifier_mnist"`, `"classifier_fashion_mnist"`: `ImageClassifier`, on
            whose features generated images are judged;
            `"classifier_binarized_mnist"`: the same for black and white images.

    Returns:
        The model.

    Raises:
        ValueError: If there is no such model, or if its file is damaged.
    """
    description = _describe(name)
    weights = WEIGHTS / f"{name}.weights.h5"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != description["sha256"]:
        raise ValueError(
            f"{weights} is damaged. Expected sha256 {description['sha256']}. "
            f"Received: {found}. Install tfattn again."
        )
    model = MODELS[name](**description["arguments"])
    model.load_weights(weights)
    return model


def pretrained_results(name: str) -> dict[str, Any]:
    """How a model of `load_pretrained` was trained and what it scores.

    Args:
        name: As for `load_pretrained`.

    Returns:
        Dictionary: data set, protocol, seed, versions and measured numbers.

    Raises:
        ValueError: If there is no such model.
    """
    return _describe(name)["results"]


def _describe(name):
    if name not in MODELS:
        raise ValueError(
            f"Expected the name of a trained model, one of {sorted(MODELS)}. "
            f"Received: name={name!r}"
        )
    return json.loads((WEIGHTS / f"{name}.json").read_text())
