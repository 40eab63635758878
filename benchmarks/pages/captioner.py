"""docs/results/captioner.md: the image captioner."""

from pages.blocks import interval, results, share, table

from tfattn.models import pretrained_results

WORDS = ("first", "second")


def block():
    digits = results("captioner")["digits"]
    of_run = pretrained_results("captioner_mnist")
    rows = [
        ["greedy search", share(digits["right"])],
        [
            f"beam search, width {digits['beam_width']}",
            share(digits["right, by a beam"]),
        ],
        [
            "two classifiers in a row, `classifier_mnist`",
            share(digits["right, two classifiers in a row"]),
        ],
        [
            "pairs that occur in training, made of test digits",
            share(digits["right, pairs that training shows"]),
        ],
        ["the same images, binarized", share(digits["right, black and white"])],
    ]
    hidden = [
        [f"{side} half", *(share(digits[f"{side} half hidden"][w]) for w in WORDS)]
        for side in ("left", "right")
    ]
    weight = digits["weight on the left half"]
    return [
        *table(["both words right", "share of the images"], rows),
        "",
        "Negative log-likelihood of the true text: "
        f"{interval(digits['nats'], 4)} nats per text. Protocol: "
        f"{digits['protocol']}. The model has {of_run['parameters']} parameters and "
        f"was trained for {of_run['epochs']} epochs, "
        f"{of_run['training_seconds'] / 60:.0f} minutes on {of_run['machine']}, "
        "bfloat16.",
        "",
        "## Which part of the image each word depends on",
        "",
        "Attention maps show where a layer attends to, not what a word depends on. So "
        "one half of the image is made black, which training never shows:",
        "",
        *table(["hidden", "first word right", "second word right"], hidden),
        "",
        "Of the attention of the decoder, averaged over layers and heads, "
        f"{weight['first']['value']:.0%} lies on the left half when it writes the "
        f"first word, and {weight['second']['value']:.0%} when it writes the second.",
        "",
        "## There and back",
        "",
        "`transformer_words` turns a text into an image, and `captioner_mnist` "
        f"describes it: {share(digits['round trip'])} of the texts come back. "
        "`classifier_binarized_mnist` in the captioner's place finds both digits in "
        f"{share(digits['round trip, a classifier in its place'])}.",
    ]
