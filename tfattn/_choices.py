"""What can be chosen by name, apart from what it chooses.

The command's help reads it, and does not wait for Keras.
"""

DATA_SETS = (
    "mnist",
    "fashion_mnist",
    "binarized_mnist",
    "cifar10",
    "olivetti",
    "digits",
    "faces",
    "avatars",
)
MASKS = (
    "lower_half",
    "upper_half",
    "left_half",
    "right_half",
    "center",
    "rectangle",
    "strokes",
)
# Of each model: the layer where it attends, see `tfattn.models.attention`.
ATTENTIONS = {
    "vae": ("self", "module", "residual", "uniform", None),
    "gan": ("self", "gate", "residual", "uniform", None),
    "flow": ("self", "residual", "uniform", None),
    "completion": ("self", "residual", "uniform", None),
}
# Of the full training of each model.
EPOCHS = {
    "vae": 20,
    "gan": 13,
    "flow": 25,
    "transformer": 18,
    "translator": 4,
    "completion": 40,
    "captioner": 15,
    "classifier": 16,
}
