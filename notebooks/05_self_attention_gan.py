# ---
# jupyter:
#   execution:
#     timeout: 600
#   jupytext:
#     notebook_metadata_filter: execution,kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · A generative adversarial network with self-attention
#
# You will train two networks against each other until one of them draws digits that a classifier takes for real ones, and you will measure how real they are.
#
# The picture that you will make stands just below the setup cell: ten samples of each digit, none of which was ever written.

# %% [markdown]
# **What you will do.** Write the losses and one training step by hand. Make a network conditional on a class. Switch off spectral norm, the hinge loss and the second learning rate, one at a time. Take apart the published snippet of a spatial attention generator. Train `SelfAttentionGAN` on MNIST and on Fashion-MNIST, and compare it by four measures with real images, with spoiled real images and with the VAE of notebook 03.
#
# **What you will learn.** What each player is paid for, what keeps the game from tipping over, why a GAN's loss says nothing of its images and what does, and how much attention takes part.
#
# **What you need.** Notebook 04 for the attention layer and the spectral norm. The data are MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0) and Fashion-MNIST (Zalando; MIT).
#
# **Runtime.** The setup cell says which device it found, and how long the last full run took.

# %% nbmake={"mock": {"arm_steps": 4, "epochs": 1, "num_measured": 200, "score_every": 2, "train_size": 256, "write_results": false}} tags=["parameters"]
epochs = 2
train_size = 60000
arm_steps = 1000
score_every = 200
num_measured = 5000
seed = 0
write_results = True

# %%
import json
import os
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
stderr_copy = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # TensorFlow talks while it is imported
import tensorflow as tf

gpu = bool(tf.config.list_physical_devices("GPU"))
os.dup2(stderr_copy, 2)
import keras
import numpy as np
from keras import layers, ops
from matplotlib import rcParams
from matplotlib.figure import Figure

from tfattn import data, metrics, models, plots
from tfattn.layers import AttentionGate, ConditionalBatchNormalization, SpectralConv2D
from tfattn.models import SelfAttentionGAN, TwoTimeScaleOptimizer
from tfattn.systems import gan as gan_system

# %matplotlib inline
rcParams.update({"figure.dpi": 75, "image.interpolation": "nearest"})
started = time.monotonic()
keras.utils.set_random_seed(seed)
results_file = Path("results/05.json")
results = {}
if results_file.exists():
    last = json.loads(results_file.read_text())
    print(
        f"The last full run took {last['seconds'] / 60:.0f} minutes on {last['device']}."
    )
device = "a GPU" if gpu else f"{os.cpu_count()} CPU cores"
print(f"This run uses {device}.", "" if gpu else "No GPU found: expect half an hour.")

dataset = data.load("mnist", fallback="digits")
x_train, y_train = dataset.x_train[:train_size], dataset.y_train[:train_size]
print(f"Data: {dataset.name} ({dataset.source}), {len(x_train)} training images.")

# %% [markdown]
# ## The finished picture
#
# The library holds a model that `tfattn train gan` trained for longer than this notebook does. A row for each class; a column for each latent vector $z$.

# %%
pretrained = models.load_pretrained("gan_mnist")


def class_grid(gan, columns=12):
    """Rows of one class, columns of one latent vector."""
    latents = np.tile(gan.sample_latents(columns, seed=seed), (10, 1))
    labels = np.repeat(np.arange(10), columns)
    images = gan.generate_from(latents, labels)
    return images.reshape(10, columns, *gan.image_shape)


plots.image_grid(class_grid(pretrained))

# %% [markdown]
# ## 1 · Two players
#
# The **generator** $G$ turns a latent vector $z \sim N(0, I)$ into an image. The **discriminator** $D$ gives an image a score: high for real, low for generated. Nobody writes down a likelihood. The only teacher of $G$ is $D$, and the only thing that $D$ learns is to tell the two apart.
#
# In the first GANs the score goes through a sigmoid, and $D$ is a classifier with the cross-entropy as its loss. $G$ was to make that cross-entropy large: this is the **saturating** loss, $\log(1 - \mathrm{sigmoid}(D))$. In practice everyone takes $-\log \mathrm{sigmoid}(D)$ instead, the **non-saturating** one. SAGAN uses the **hinge loss**,
#
# $$L_D = \mathbb{E}\,\max(0,\, 1 - D(x)) + \mathbb{E}\,\max(0,\, 1 + D(G(z))), \qquad L_G = -\,\mathbb{E}\,D(G(z)).$$
#
# What matters is the slope: it is all that a network gets to see. Early in training the generator's images are easily seen through, so their scores are far below 0. Look at what the generator's three losses offer there, and at what the discriminator is still paid for:

# %%
score = np.linspace(-6, 6, 201)
sigmoid = 1 / (1 + np.exp(-score))
figure = Figure(figsize=(9, 2.8), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(score, -sigmoid, label="saturating")
left.plot(score, sigmoid - 1, label="non-saturating")
left.plot(score, -np.ones_like(score), label="hinge")
left.set(title="slope of the generator's loss", xlabel="D(G(z))")
right.plot(score, sigmoid, label="cross-entropy")
right.plot(score, (score > -1).astype(float), label="hinge")
right.set(title="slope of the discriminator's loss, generated", xlabel="D(G(z))")
for axes in (left, right):
    axes.legend()
    axes.grid(alpha=0.3)
at_minus_6 = {
    "saturating": sigmoid[0],
    "non-saturating": 1 - sigmoid[0],
    "hinge": 1.0,
}
print("|slope| for the generator at a score of −6:")
print({name: round(float(value), 4) for name, value in at_minus_6.items()})
figure

# %% [markdown]
# At −6 the saturating loss leaves the generator almost nothing to follow, just when it needs direction most. With the hinge its slope is the same everywhere. The discriminator's hinge does something else: once a generated image scores below −1 (a real one above +1), it is no longer paid for pushing on, and spends its capacity on images that are still hard.
#
# The library writes these losses in two lines. We write them once more, pixel for pixel the slow way, and compare:

# %%
rng = np.random.default_rng(seed)
real_scores, fake_scores = rng.normal(0, 2, (2, 7, 1))
by_loop = 0.0
for real_score, fake_score in zip(real_scores[:, 0], fake_scores[:, 0], strict=True):
    by_loop += max(0.0, 1 - real_score) / 7 + max(0.0, 1 + fake_score) / 7
tiny = SelfAttentionGAN((16, 16, 1), latent_dim=16, num_classes=10, seed=seed)
tiny.compile()
np.testing.assert_allclose(
    tiny.discriminator_loss(real_scores, fake_scores), by_loop, rtol=1e-6
)
np.testing.assert_allclose(
    tiny.generator_loss(fake_scores), -fake_scores.mean(), rtol=1e-6
)
print(f"discriminator's loss of 7 pairs of scores: {by_loop:.4f}, by both ways")


# %% [markdown]
# ## 2 · One step trains both
#
# A step of training draws $z$ and makes images from it. First $D$ learns from a batch of real and these generated images; then $G$ learns from what the new $D$ says of its images. Here it is by hand, for plain gradient descent. The generator's gradient flows **through** the discriminator, whose weights stay as they are.

# %%
def step_by_hand(gan, x, labels, latents, rate):
    """One step of gradient descent for both networks of a GAN."""
    y = ops.one_hot(labels, 10)
    generator, discriminator = gan.generator, gan.discriminator
    with tf.GradientTape() as generator_tape:
        fake = generator([latents, y], training=True)

    with tf.GradientTape() as tape:
        images, both = ops.concatenate([x, fake]), ops.concatenate([y, y])
        scores = discriminator([images, both], training=True)
        real_scores, fake_scores = ops.split(scores, 2)
        loss = ops.mean(ops.relu(1 - real_scores)) + ops.mean(ops.relu(1 + fake_scores))
    descend(tape, loss, discriminator, rate)

    with tf.GradientTape() as tape:  # the new discriminator, the same images
        tape.watch(fake)
        loss = -ops.mean(discriminator([fake, y]))
    d_fake = tape.gradient(loss, fake)
    descend(generator_tape, fake, generator, rate, d_fake)


def descend(tape, target, network, rate, d_target=None):
    variables = [v.value for v in network.trainable_variables]
    gradients = tape.gradient(target, variables, output_gradients=d_target)
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)


def small(x):
    """28×28 images as 16×16 miniatures: pooled to 14×14, with a frame of zeros."""
    pooled = ops.convert_to_numpy(ops.average_pool(x, 2))
    return np.pad(pooled, ((0, 0), (1, 1), (1, 1), (0, 0)))


def fresh(**arguments):
    """The same small model each time."""
    keras.utils.set_random_seed(1)
    gan = SelfAttentionGAN(
        (16, 16, 1), latent_dim=16, num_classes=10, seed=5, **arguments
    )
    for layer in (gan.generator, gan.discriminator):
        layer.get_layer("attention").gamma.assign(1.0)
    return gan


batch, labels = small(x_train[:32]), y_train[:32]
by_hand, by_library = fresh(), fresh()
latents = keras.random.normal((32, 16), seed=keras.random.SeedGenerator(5))
step_by_hand(by_hand, batch, labels, latents, rate=0.1)
by_library.compile(
    TwoTimeScaleOptimizer(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
)
by_library.fit((batch, labels), batch_size=32, shuffle=False, verbose=0)
largest = 0.0
for name in ("generator", "discriminator"):
    before = getattr(fresh(), name).trainable_variables
    hand, library = (getattr(g, name).trainable_variables for g in (by_hand, by_library))
    for start, a, b in zip(before, hand, library, strict=True):
        assert np.abs(np.asarray(b) - np.asarray(start)).max() > 0, b.path
        largest = max(largest, float(np.abs(np.asarray(a) - np.asarray(b)).max()))
print(f"largest difference between the two steps: {largest:.1e}")
assert largest < 1e-4

# %% [markdown]
# The library's step is this step, and every weight of both networks has moved ($\gamma$ of the attention layers was set to 1; at its start of 0 four matrices of the layer would have stood still, see notebook 04). Two mistakes are easy to make here and hard to see, because training still seems to run:
#
# * **The generated images are cut off** from the tape (a `stop_gradient`, a NumPy array). Then the generator's gradient is zero.
# * **The two passes of the discriminator see different weights.** `keras.layers.SpectralNormalization` overwrites its kernel in each training call. Call it once for real and once for generated images, and the scores that the loss compares come from two different networks:

# %%
wrapped = keras.layers.SpectralNormalization(layers.Conv2D(8, 3))
wrapped(batch, training=True)
wrapped.layer.kernel.assign(3 * wrapped.layer.kernel)  # as after a large step
x = ops.convert_to_tensor(batch)
twice = [np.asarray(wrapped(x, training=True)) for _ in range(2)]
ours = SpectralConv2D(8, 3)
ours(x, training=True)
ours.kernel.assign(3 * ours.kernel)
kernel_before = np.asarray(ours.kernel).copy()
for _ in range(2):
    ours(x, training=True)
results["wrapper_relative_change"] = float(
    np.abs(twice[1] - twice[0]).max() / np.abs(twice[0]).max()
)
print(
    "the same images twice, keras.layers.SpectralNormalization: outputs differ by "
    f"{results['wrapper_relative_change']:.1%} of the largest"
)
np.testing.assert_array_equal(kernel_before, np.asarray(ours.kernel))
print("SpectralConv2D: the kernel is the same after both passes")

# %% [markdown]
# The library sends real and generated images through the discriminator in one pass, and divides by σ without touching the kernel.

# %% [markdown]
# ## 3 · Conditions
#
# A conditional GAN is told a class $y$. The generator gets it in its batch normalisations: each class has a scale and a shift of its own for each channel,
#
# $$\mathrm{CBN}(x, y) = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \,(1 + s_y) + b_y .$$
#
# The discriminator gets it as a **projection**: its score is one number for the image as such, and one for how well the features $f(x)$ fit the class,
#
# $$D(x, y) = w \cdot f(x) + e_y \cdot f(x) + b.$$

# %%
norm = ConditionalBatchNormalization()
x = rng.normal(2, 3, (6, 4, 5, 8)).astype("float32")
classes = np.array([0, 2, 2, 1, 0, 1])
one_hot = np.eye(3, dtype="float32")[classes]
norm([x, one_hot])
for variable in norm.trainable_variables:
    variable.assign(rng.normal(0, 0.5, variable.shape))
y = np.asarray(norm([x, one_hot], training=True))
weights = {v.name: np.asarray(v) for v in norm.trainable_variables}
print({name: w.shape for name, w in weights.items()})
mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
standard = (x - mean) / np.sqrt(variance + norm.epsilon)
scale, shift = (w[classes][:, None, None] for w in weights.values())
by_formula = standard * (1 + scale) + shift
np.testing.assert_allclose(y, by_formula, atol=1e-4)
print("ConditionalBatchNormalization equals the formula")

# The projection: take f(x) out of a discriminator, and add up the score.
discriminator = fresh().discriminator
f_layer, e_layer, w_layer = discriminator.layers[-5:-2]
f = keras.Model(discriminator.inputs[0], f_layer.output)(batch)
e = e_layer(np.eye(10, dtype="float32")[labels])
score = w_layer(f) + ops.sum(e * f, axis=1, keepdims=True)
y = ops.one_hot(labels, 10)
np.testing.assert_allclose(score, discriminator([batch, y]), rtol=1e-4, atol=1e-5)
print(f"f(x) {tuple(f.shape)}, e {tuple(e.shape)}, D(x, y) {tuple(score.shape)}")

# %% [markdown]
# Without `num_classes` both networks lose these parts: plain batch normalisation, and $D(x) = w \cdot f(x) + b$.

# %% [markdown]
# ## 4 · Where attention stands
#
# Both networks are residual. The generator goes from 7×7 places to 28×28, the discriminator back. Each has one `SelfAttention2D` on its 14×14 map, where 196 places look at the 49 of the pooled map.

# %%
def stages(network):
    """Sizes of the feature maps on the way, with the attention layer."""
    lines = [f"{network.name}: {network.count_params()} parameters"]
    for layer in network.layers:
        if isinstance(layer, layers.Add) or layer.name == "attention":
            shape = layer.output.shape
            if len(shape) == 4:
                kind = type(layer).__name__ if layer.name == "attention" else "block"
                lines.append(f"  {shape[1]:2}×{shape[2]:2}×{shape[3]:3}  {kind}")
    return "\n".join(lines)


print(stages(pretrained.generator))
print(stages(pretrained.discriminator))

# %% [markdown]
# All kernels of both networks are divided by their spectral norm, the attention layers' four among them. Why the discriminator? Its score may rise at most so fast with the pixels; the score that the generator climbs then has a slope everywhere and no cliffs. Why the generator? The SAGAN authors found that it trains more steadily; section 6 tries it without.
#
# What draws the images in the end is not $G$ as it stands after the last step, but an **exponential moving average** of its weights: $G$ wanders around, and the average smooths the walk.

# %% [markdown]
# ## 5 · The published snippet, in miniature
#
# An article on "spatial attention" in image generation publishes a generator of this kind: a convolution, a sigmoid map $m$ of one channel, $x \cdot m + x$, another convolution. The idea is sound, and `tfattn.layers.AttentionGate` is its correct form. The code is not. Here is a minimal network with the same three defects:
#
# 1. Its input is an image. There is no latent vector, so nothing is drawn.
# 2. One `stride` goes into every convolution. With a stride of 2 the map is smaller than the features that it is to weigh.
# 3. There is no loss, no discriminator and no training.

# %%
def article_style(x, stride):
    """Features, a map, features times map plus features, an image."""
    convolve = lambda x, filters: layers.Conv2D(filters, 3, stride, "same")(x)
    features = ops.relu(convolve(x, 8))
    m = ops.sigmoid(convolve(ops.relu(convolve(features, 8)), 1))
    return convolve(features * m + features, 1), features, m


image = ops.convert_to_tensor(x_train[:1])
for stride in (1, 2):
    try:
        output, features, m = article_style(image, stride)
        print(f"stride {stride}: features {features.shape}, map {m.shape}")
    except Exception as error:
        print(f"stride {stride}: {type(error).__name__}, map and features do not fit")
gate = AttentionGate(kernel_size=5)
for shape in ((2, 28, 28, 8), (2, 9, 14, 8)):
    features = keras.random.normal(shape, seed=1)
    gated, m = gate(features, return_attention_scores=True)
    assert gated.shape == shape and m.shape == (*shape[:3], 1)
    np.testing.assert_allclose(gated, features * (1 + m), rtol=1e-5)
    print(f"AttentionGate: features {features.shape}, map {m.shape}")

# %% [markdown]
# A detail of the second defect: with "same" padding and other sizes, the shapes may fit by broadcasting, and then the sum means nothing, without any error. And without a latent vector, the same input gives the same output always; there is nothing to sample:

# %%
keras.utils.set_random_seed(0)
fixed_input = keras.Input((28, 28, 1))
snippet = keras.Model(fixed_input, article_style(fixed_input, 1)[0])
spread = np.std([np.asarray(snippet(image)) for _ in range(4)], axis=0).max()
z = pretrained.sample_latents(4, seed=seed)
ours = pretrained.generate_from(z, [3, 3, 3, 3]).std(axis=0).max()
print(f"largest spread of a pixel over 4 draws: snippet {spread:.3f}, ours {ours:.3f}")
assert spread == 0 and ours > 0.1

# %% [markdown]
# ## 6 · Switched off, one at a time
#
# Why spectral norm, why the hinge, why two learning rates? We switch each off once and look. To keep it short we train on miniatures of 16×16, for few steps. Two more arms: the library starts the shifts $b_y$ of section 3 at random, so that the classes differ from the first step on; one arm starts them at 0, as is usual. The last puts the gate of section 5 in the place of the generator's self-attention.
#
# The yardstick is the **Fréchet classifier distance**. A classifier that the project trained once and froze turns each image into 128 features. Take the mean $\mu$ and the covariance $\Sigma$ of the features of real images, and of generated ones:
#
# $$d^2 = |\mu_r - \mu_g|^2 + \mathrm{tr}\left(\Sigma_r + \Sigma_g - 2\,(\Sigma_r \Sigma_g)^{1/2}\right).$$
#
# It is 0 if both agree. It is often called FID, but that name belongs to the features of one large network trained on ImageNet, and our numbers must not be compared with any FID.

# %%
judge = models.load_pretrained("classifier_mnist")
rng = np.random.default_rng(seed)
test_subset = rng.permutation(len(dataset.x_test))[:num_measured]
small_train = small(x_train)


def large(x):
    """16×16 miniatures at a size that the classifier takes; both sides get this."""
    return x[:, 1:15, 1:15].repeat(2, axis=1).repeat(2, axis=2)


small_real = judge.features(large(small(dataset.x_test[test_subset])))
small_labels = np.arange(num_measured) % 10


class LogisticGAN(SelfAttentionGAN):
    """The non-saturating loss in place of the hinge."""

    def discriminator_loss(self, real_scores, fake_scores):
        return ops.mean(ops.softplus(-real_scores)) + ops.mean(
            ops.softplus(fake_scores)
        )

    def generator_loss(self, fake_scores):
        return ops.mean(ops.softplus(-fake_scores))


def train_arm(kind=SelfAttentionGAN, rate=8e-4, alike=False, **arguments):
    """A small GAN, and its distance every `score_every` steps."""
    keras.utils.set_random_seed(seed)
    gan = kind((16, 16, 1), num_classes=10, seed=seed, **arguments)
    if alike:  # classes that do not differ at the start
        for layer in gan.generator.layers:
            if isinstance(layer, ConditionalBatchNormalization):
                layer.shift.assign(0 * layer.shift)
        gan.generator_average.set_weights(gan.generator.get_weights())
    gan.compile(
        TwoTimeScaleOptimizer(
            keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.99),
            keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.99),
        )
    )
    steps = iter(data_order(arm_steps, 64))
    distances, losses = [], []
    for _ in range(arm_steps // score_every):
        chosen = np.concatenate([next(steps) for _ in range(score_every)])
        history = gan.fit(
            (small_train[chosen], y_train[chosen]),
            batch_size=64,
            shuffle=False,
            verbose=0,
        ).history
        losses.append(history["discriminator_loss"][0])
        images = gan.generate(num_measured, small_labels, seed=seed)
        distances.append(
            metrics.frechet_distance(small_real, judge.features(large(images)))
        )
    return gan, distances, losses


def data_order(num_steps, batch_size):
    """The same batches for all arms: indices (num_steps, batch_size)."""
    rng = np.random.default_rng(seed)
    needed = -(-num_steps * batch_size // len(x_train))
    order = np.concatenate([rng.permutation(len(x_train)) for _ in range(needed)])
    return order[: num_steps * batch_size].reshape(num_steps, batch_size)


arms = {
    "everything on": train_arm(),
    "no spectral norm": train_arm(spectral_norm=False),
    "cross-entropy, no hinge": train_arm(LogisticGAN),
    "one rate (2e-4)": train_arm(rate=2e-4),
    "shifts start at 0": train_arm(alike=True),
    "gate for self-attention": train_arm(attention="gate"),
}
small_floor = metrics.frechet_distance(
    small_real, judge.features(large(small_train[:num_measured]))
)
print(f"{'':26}{'distance':>10}{'discriminator loss':>20}")
for name, (_, distances, losses) in arms.items():
    print(f"{name:26}{distances[-1]:10.1f}{losses[-1]:20.2f}")
    results[f"arm {name}"] = {"distances": distances, "discriminator_losses": losses}
print(f"{'real training images':26}{small_floor:10.1f}")
results["small_floor"] = small_floor
marks = score_every * (1 + np.arange(arm_steps // score_every))
plots.curves(
    {name: (marks, distances) for name, (_, distances, _) in arms.items()},
    "training step",
    "Fréchet classifier distance",
    "each arm trained once, same batches",
)

# %%
some = np.repeat(np.arange(10), 1)
plots.image_grid(
    np.stack([gan.generate(10, some, seed=1) for gan, _, _ in arms.values()]),
    list(arms),
)

# %% [markdown]
# Read the table with care. Each arm was trained once and for few steps, on miniatures; another seed would move every number, and the order of two neighbours means little. What is large is worth a look: how long an arm takes to leave the plateau of its first steps, whether its discriminator's loss falls far (it wins, and its score tells the generator little) or stays near 2, the loss of scores that are all 0 (it cannot tell the two apart; for the cross-entropy that value is $2 \log 2$).

# %%
gate_gan = arms["gate for self-attention"][0]
gate_maps = gate_gan.attention_maps(gate_gan.sample_latents(10, seed=1), some)
assert gate_maps.shape == (10, 8, 8, 1)
print(f"gate: from {gate_maps.min():.2f} to {gate_maps.max():.2f}")
gated = gate_gan.generate(10, some, seed=1)
plots.image_grid(
    np.stack([gated, gate_maps.repeat(2, axis=1).repeat(2, axis=2)]),
    ["image", "gate"],
)

# %% [markdown]
# The gate amplifies some places and not others. It sees a neighbourhood of 7×7 places and nothing beyond; that is its difference from self-attention, whose every place may look at all others.

# %% [markdown]
# ## 7 · Training on MNIST
#
# Now the real size. `compile()` without an argument is SAGAN's choice: Adam with $\beta_1 = 0$, a rate of $10^{-4}$ for the generator and $4 \cdot 10^{-4}$ for the discriminator. A short training does better with the larger rates of `tfattn train gan`, which fall to 0 along a cosine. A callback notes γ of both attention layers and keeps a sheet of the same noise after every epoch.

# %%
class Watch(keras.callbacks.Callback):
    """γ after every 50 steps, and a row of samples after every epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.gammas, self.rows = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        if batch % 50 == 0:
            self.steps.append(int(self.model.optimizer.iterations))
            self.gammas.append(self.model.gammas())

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(self.model.generate(10, np.arange(10), seed=seed))


def train(x, y):
    """A GAN of full size, its history and what was watched."""
    keras.utils.set_random_seed(seed)
    gan = SelfAttentionGAN(x.shape[1:], num_classes=10, seed=seed)
    gan_system.compile_model(gan, epochs * (len(x) // 64))
    watch = Watch()
    before = time.monotonic()
    history = gan.fit((x, y), batch_size=64, epochs=epochs, callbacks=[watch], verbose=2)
    print(f"{(time.monotonic() - before) / 60:.1f} minutes")
    assert np.isfinite(history.history["generator_loss"]).all()
    return gan, watch


mnist_gan, watched = train(x_train, y_train)
plots.image_grid(
    np.stack(watched.rows), [f"epoch {i + 1}" for i in range(len(watched.rows))]
)

# %% [markdown]
# Neither loss says how good the images are. Each player is measured by its opponent, who improves as well: a loss that stands still may hide steady progress, and a loss that falls may mean that the other player fails. This is why the next section measures images, not losses.

# %%
figure = plots.curves(
    {
        name: (watched.steps, [gammas[name] for gammas in watched.gammas])
        for name in ("generator", "discriminator")
    },
    "training step",
    "γ",
    "how much attention is added",
)
results["gamma_own"] = mnist_gan.gammas()
results["gamma_shipped"] = pretrained.gammas()
for name in ("own", "shipped"):
    gammas = results[f"gamma_{name}"]
    print(name, {key: round(value, 3) for key, value in gammas.items()})
figure

# %% [markdown]
# γ starts at 0 and moves away from it: the layers are used. Its sign means nothing by itself, for the output matrix can turn its own sign as well. How much the images depend on it, section 9 tries out.

# %% [markdown]
# ## 8 · How real are they?
#
# A generated image can fail in two ways: it looks like no digit, or it looks like all the others. So one number is not enough. On the same 128 features:
#
# * **Fréchet classifier distance**, of section 6: both failures at once.
# * **Precision**: the part of generated images that lie among the real ones, that is, nearer to one of them than its third neighbour is. Low precision: bad images.
# * **Recall**: the part of real images that lie among the generated ones in the same sense. Low recall: missing kinds.
# * **Recognised**: the part of images that the classifier takes for the class that was asked for.
#
# No number without a scale. Two sets of *real* images do not have distance 0, since both are finite: that is the **floor**. At the other end stand real images with visible noise. The number of images matters as well; here it is the same in every row.

# %%
def quality(images, labels=None):
    """All measures of a set of images, on the judge's features."""
    features = judge.features(images)
    found = {
        "distance": metrics.frechet_distance(real_features, features),
        **metrics.precision_recall(real_features, features)._asdict(),
    }
    if labels is not None:
        found["recognised"] = float(np.mean(judge.classify(images) == labels))
    return found


real_features = judge.features(dataset.x_test[test_subset])
ten = np.arange(num_measured) % 10
chosen = rng.permutation(len(x_train))[:num_measured]
noisy = x_train[chosen] + rng.normal(0, 0.1, x_train[chosen].shape)
noisy = noisy.clip(0, 1).astype("float32")
not_ten = rng.permutation(np.flatnonzero(y_train != 0))[:num_measured]
vae_images = models.load_pretrained("vae_mnist").sample(num_measured, seed=seed)
table = {
    "real training images": quality(x_train[chosen], y_train[chosen]),
    "the same with noise, σ = 0.1": quality(noisy, y_train[chosen]),
    "real, but without the digit 0": quality(x_train[not_ten], y_train[not_ten]),
    "attention VAE (notebook 03)": quality(vae_images),
    "this notebook's GAN": quality(mnist_gan.generate(num_measured, ten, seed), ten),
    "the shipped GAN": quality(pretrained.generate(num_measured, ten, seed), ten),
}
print(f"{'':31}{'distance':>9}{'precision':>11}{'recall':>8}{'recognised':>12}")
for name, row in table.items():
    recognised = f"{row['recognised']:12.2%}" if "recognised" in row else f"{'–':>12}"
    print(
        f"{name:31}{row['distance']:9.2f}{row['precision']:11.3f}"
        f"{row['recall']:8.3f}{recognised}"
    )
    results[name] = row

# %% [markdown]
# Compare the rows with the first one, not with 0. Noise that the eye hardly minds and a missing digit both cost far more than the difference between two sets of real images. The VAE's images are probabilities, soft at the edges, and the features notice. Precision and recall of real images are not 1 either: a third neighbour is a strict judge.

# %%
figure = Figure(figsize=(5, 4.2), layout="constrained")
axes = figure.subplots()
confusion = np.zeros((10, 10))
predicted = judge.classify(pretrained.generate(num_measured, ten, seed))
np.add.at(confusion, (ten, predicted), 1)
picture = axes.imshow(np.log10(1 + confusion), "viridis")
for row, col in zip(*np.nonzero(confusion), strict=True):
    axes.text(col, row, int(confusion[row, col]), ha="center", va="center", color="w")
axes.set(xlabel="recognised as", ylabel="asked for", xticks=range(10), yticks=range(10))
assert confusion.sum() == num_measured
figure

# %% [markdown]
# Nearly everything stands on the diagonal. Two digits that people confuse, too, make up what is left.

# %% [markdown]
# ## 9 · A look inside
#
# **Between two latent vectors.** A straight line between two normal vectors passes too near to the origin: in 128 dimensions nearly all vectors have a length near $\sqrt{128}$, and the generator has seen no others. So we walk along an arc, at a constant length.

# %%
def arc(start, end, num_steps):
    """Spherical interpolation of vectors (n, d): (n, num_steps, d)."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (start, end)]
    angle = np.arccos(np.sum(unit[0] * unit[1], axis=1))[:, None, None]
    t = np.linspace(0, 1, num_steps)[None, :, None]
    return (
        np.sin((1 - t) * angle) * start[:, None] + np.sin(t * angle) * end[:, None]
    ) / np.sin(angle)


walk_classes = np.array([2, 4, 5, 8])
ends = pretrained.sample_latents(8, seed=5)
path = arc(ends[:4], ends[4:], 11)
np.testing.assert_allclose(path[:, 0], ends[:4], atol=1e-4)
walks = pretrained.generate_from(path.reshape(-1, 128), np.repeat(walk_classes, 11))
plots.image_grid(walks.reshape(4, 11, 28, 28, 1))

# %% [markdown]
# The class stays, the hand changes: slant, width, thickness. In the class grid at the top the opposite is held fixed: a column has one latent vector, and slant and thickness carry over from digit to digit. Nobody asked for this; the generator found it cheap to use $z$ for what all classes have in common.
#
# **Where the generator looks.** `attention_maps` gives, for each of 14×14 places, the weights over the 7×7 places of the pooled map. The cross marks the place that asks.

# %%
look_labels = np.array([0, 3, 4, 8])
look_latents = pretrained.sample_latents(4, seed=2)
maps = pretrained.attention_maps(look_latents, look_labels)
looked = pretrained.generate_from(look_latents, look_labels)
np.testing.assert_allclose(maps.sum(axis=(3, 4)), 1, atol=1e-3)
entropy = float(-(maps * np.log(maps + 1e-12)).sum(axis=(3, 4)).mean())
results["map_entropy_nats"] = entropy
print(f"mean entropy of a map: {entropy:.2f} nats; a uniform map has {np.log(49):.2f}")
plots.attention_figure(looked, maps)

# %%
judged = dataset.x_test[[np.flatnonzero(dataset.y_test == c)[0] for c in look_labels]]
plots.attention_figure(
    judged,
    pretrained.discriminator_attention_maps(judged, look_labels),
    title="where the discriminator looks, real images",
)

# %% [markdown]
# A map alone says nothing about its effect. So set γ of the generator to 0, which takes the layer out, and to twice its value, and compare with the same latents:

# %%
layer = pretrained.generator_average.get_layer("attention")
learned = float(np.asarray(layer.gamma))
rows, changed = [], {}
for factor in (1.0, 0.0, 2.0):
    layer.gamma.assign(factor * learned)
    images = pretrained.generate(num_measured, ten, seed)
    found = quality(images, ten)
    changed[factor] = found
    rows.append(images[:10])
    print(
        f"γ × {factor:.0f}: distance {found['distance']:6.2f}, "
        f"recognised {found['recognised']:.2%}"
    )
layer.gamma.assign(learned)
results["gamma_factor"] = {str(factor): found for factor, found in changed.items()}
plots.image_grid(np.stack(rows), ["as trained", "γ = 0", "γ doubled"])

# %% [markdown]
# The network was trained with its attention. So switching it off shows how much these weights rely on it, not how good a network without attention would be. For that one has to train both, more than once: notebook 08 in the plan of the course.

# %% [markdown]
# ## 10 · Fashion-MNIST
#
# The same model, the same recipe, clothes in place of digits. They have grey textures and prints, where a digit is nearly black and white.

# %%
fashion = data.load("fashion_mnist", fallback="digits")
fashion_gan, fashion_watched = train(
    fashion.x_train[:train_size], fashion.y_train[:train_size]
)
plots.image_grid(class_grid(fashion_gan))

# %%
judge = models.load_pretrained("classifier_fashion_mnist")
real_features = judge.features(fashion.x_test[test_subset % len(fashion.x_test)])
fashion_chosen = rng.permutation(len(fashion.x_train))[:num_measured]
fashion_table = {
    "real training images": quality(
        fashion.x_train[fashion_chosen], fashion.y_train[fashion_chosen]
    ),
    "this notebook's GAN": quality(fashion_gan.generate(num_measured, ten, seed), ten),
}
print(f"{'':31}{'distance':>9}{'precision':>11}{'recall':>8}{'recognised':>12}")
for name, row in fashion_table.items():
    print(
        f"{name:31}{row['distance']:9.2f}{row['precision']:11.3f}"
        f"{row['recall']:8.3f}{row['recognised']:12.2%}"
    )
    results[f"fashion, {name}"] = row

# %% [markdown]
# The distances of the two data sets come from two classifiers and cannot be compared with each other; each belongs beside its own floor.

# %% [markdown]
# ## What mattered, what did not
#
# * **Mattered:** a loss whose slope does not vanish; images and scores that meet the same weights; a measure with a floor and a ceiling beside it.
# * **Mattered more than expected:** where the classes start. A table of shifts that starts at 0 moves by about one learning rate per step under Adam, and until it has moved, all classes are drawn alike.
# * **Cannot be told from one run:** which of two close arms is better, and whether attention helps at this size.

# %% [markdown]
# ## Exercises
#
# Each exercise has a check that says what is wrong. Run the notebook first, then edit.
#
# **1.** Write the discriminator's hinge loss of two arrays of scores.

# %%
def hinge(real_scores, fake_scores):
    """Arrays (n, 1). Return a number."""
    return None


# %%
def check_hinge(loss):
    real_scores = np.array([[2.0], [0.5], [-1.0]])
    fake_scores = np.array([[-3.0], [-0.5], [1.0]])
    right = (0 + 0.5 + 2) / 3 + (0 + 0.5 + 2) / 3
    answer = loss(real_scores, fake_scores)
    if answer is None:
        return "Not done yet."
    if np.shape(answer) != ():
        return f"Expected one number. Received shape {np.shape(answer)}."
    if np.isclose(answer, right):
        return "Right."
    if np.isclose(answer, right / 2):
        return "The two means are added, not averaged."
    if np.isclose(answer, loss(fake_scores, real_scores)):
        return "Real and generated must be told apart: real scores are to exceed +1."
    if np.isclose(answer, np.mean(1 - real_scores) + np.mean(1 + fake_scores)):
        return "Nothing is cut off at 0: scores beyond ±1 must not be paid for."
    return f"Expected {right:.3f}. Received {float(answer):.3f}."


print(check_hinge(hinge))


# %% [markdown]
# **2.** Write the Fréchet distance of two normal distributions in one dimension, from their means and standard deviations. Which term is left of the trace?

# %%
def frechet_1d(mean_1, deviation_1, mean_2, deviation_2):
    return None


# %%
def check_frechet(distance):
    answer = distance(1.0, 2.0, 4.0, 0.5)
    if answer is None:
        return "Not done yet."
    right = 3.0**2 + 1.5**2
    if np.isclose(answer, right):
        features = np.random.default_rng(0).normal(size=(2, 20000, 1))
        features = features * [[[2.0]], [[0.5]]] + [[[1.0]], [[4.0]]]
        sampled = metrics.frechet_distance(*features)
        return f"Right: {answer:.2f}; 20 000 draws of each give {sampled:.2f}."
    if np.isclose(answer, np.sqrt(right)):
        return "This is d; the table prints d²."
    if np.isclose(answer, 9 + (4 - 0.25) ** 2):
        return "Standard deviations, not variances, are subtracted."
    return f"Expected {right:.2f}. Received {float(answer):.2f}."


print(check_frechet(frechet_1d))

# %% [markdown]
# **3.** Find a latent vector that gives, for the class 1, an image with little ink, and for the class 8 as well: less than 60 % of the mean ink of its class for both.

# %%
my_latent = None  # an array (128,)


# %%
def check_latent(latent):
    if latent is None:
        return "Not done yet."
    latent = np.asarray(latent, "float32")
    if latent.shape != (128,):
        return f"Expected shape (128,). Received {latent.shape}."
    if not 8 < np.linalg.norm(latent) < 15:
        return "Its length is one that a normal vector hardly ever has (about 11.3)."
    for label in (1, 8):
        ink = pretrained.generate_from(latent[None], [label]).mean()
        of_class = pretrained.generate(200, [label] * 200, seed=0).mean()
        if ink >= 0.6 * of_class:
            return f"The {label} has {ink / of_class:.0%} of its class's mean ink."
    return "Right. Does it give thin digits of every class?"


print(check_latent(my_latent))

# %% [markdown]
# ## Further reading
#
# * I. Goodfellow and others: *Generative Adversarial Networks*, 2014, arXiv:1406.2661. The game.
# * H. Zhang, I. Goodfellow, D. Metaxas, A. Odena: *Self-Attention Generative Adversarial Networks*, 2018, ICML 2019, arXiv:1805.08318. Attention, spectral norm in both networks, two rates.
# * T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida: *Spectral Normalization for Generative Adversarial Networks*, 2018, arXiv:1802.05957.
# * T. Miyato, M. Koyama: *cGANs with Projection Discriminator*, 2018, arXiv:1802.05637.
# * M. Heusel and others: *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, 2017, arXiv:1706.08500. The Fréchet distance, too.
# * T. Kynkäänniemi and others: *Improved Precision and Recall Metric for Assessing Generative Models*, 2019, arXiv:1904.06991.
# * A. Brock, J. Donahue, K. Simonyan: *Large Scale GAN Training for High Fidelity Natural Image Synthesis*, 2018, arXiv:1809.11096.

# %%
seconds = round(time.monotonic() - started)
print(f"This run took {seconds / 60:.1f} minutes on {device}.")
if write_results:
    content = {
        "seconds": seconds,
        "cpu_seconds": round(time.process_time()),
        "device": device,
        "data": f"{dataset.name}, {dataset.source}",
        "protocol": f"{num_measured} images of each kind against {num_measured} test "
        f"images chosen with seed {seed}, features of the frozen classifiers, one draw "
        f"(README's table has all 10 000 and three draws); own GANs: {epochs} epochs on "
        f"{len(x_train)} images; arms: {arm_steps} steps of 64 images at 16×16, each "
        "trained once",
        **results,
    }
    results_file.parent.mkdir(exist_ok=True)
    results_file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
