"""A user's program, which pyright checks and nothing runs."""

import numpy as np
from matplotlib.figure import Figure

import tfattn
from tfattn import data, evaluation, layers, models, plots, training
from tfattn.data import masks

digits = data.load("mnist", fallback="digits")
x: np.ndarray = digits.x_train
black_and_white: np.ndarray = data.binarize(digits.x_test, seed=0)

vae = models.AttentionVAE(latent_dim=16, attention="module", seed=1)
recipe: training.Recipe = training.recipe(vae)
batches = training.ShuffledBatches((x,), recipe.batch_size)
recipe.compile(vae, num_steps=recipe.epochs * len(batches))
folder = training.RunFolder("runs/mine", batches)
finished: int = folder.restore(vae)
vae.fit(batches, shuffle=False, initial_epoch=finished, callbacks=[folder])
images: np.ndarray = vae.generate(4, temperature=0.9, seed=0)
sharper = models.AttentionControl(sharpness=2.0)
images = vae.generate(4, seed=0, control=sharper)
nats: np.ndarray = -vae.log_likelihood_bound(black_and_white, num_samples=64)
estimate: evaluation.Estimate = evaluation.mean_estimate(nats)
print(f"{estimate.value:.2f} nats, {estimate.low:.2f} to {estimate.high:.2f}")
maps: np.ndarray = vae.attention_maps(black_and_white[:4])
paths: np.ndarray = vae.interpolate(x[:2], x[2:4], num_steps=5)

gan = models.SelfAttentionGAN((28, 28, 1), num_classes=10, attention=None)
gan.compile(models.TwoTimeScaleOptimizer())
history = gan.fit(x, digits.y_train, batch_size=64, epochs=2).history
fours: np.ndarray = gan.generate(16, [4] * 16, seed=0)
latents: np.ndarray = gan.sample_latents(2, seed=0)
gammas: dict[str, float] = gan.gammas()

transformer = models.ImageTransformer(condition="class", num_classes=10)
transformer.compile("adam", metrics=["mean_squared_error"])
transformer.fit(x, digits.y_train, validation_data=(x[:9], np.zeros(9, int)))
likelihood: np.ndarray = transformer.log_likelihood(black_and_white, digits.y_test)
bits: float = evaluation.bits_per_dimension(-float(likelihood.mean()), (28, 28, 1))
upper = masks.draw("lower_half", 2, (28, 28))
halves: np.ndarray = transformer.complete(
    black_and_white[:2], upper, condition=[1, 2], num_samples=3
)
writer = models.load_pretrained("transformer_words")
image: np.ndarray = writer.generate(1, ["four two"], seed=0)
own, cross = writer.attention_maps(image, ["four two"])
words: int = 0 if cross is None else cross.shape[-1]

captioner = models.ImageCaptioner(["red", "blue"], max_words=3, image_shape=(28, 28, 1))
captioner.compile("adam")
captioner.fit(x, ["red blue"] * len(x), epochs=2)
texts: np.ndarray = captioner.describe(x[:4], beam_width=4, num_samples=2)
nats = captioner.log_likelihood(x[:4], texts[:, 0])
seen: np.ndarray = captioner.attention_maps(x[:4], ["red", "blue", "red", "red red"])
reader: models.ImageCaptioner = models.load_pretrained("captioner_mnist")

attend = layers.SelfAttention2D("paper", chunk_size=256, data_format="channels_last")
one_place = attend.attention_map(images, (3, 7))
y, attention_map = attend(images, return_attention_scores=True)
positions = layers.PositionalEncoding("sinusoidal").encodings()
heads = layers.MultiHeadAttention(num_heads=4, key_dim=16, dropout=0.1)
keys, values = heads.initial_cache(batch_size=2, length=49)
patches = layers.images_to_patches(images, patch_size=(7, 7))
weighed = layers.AttentionModule(axis=(1, 2))(images, sharpness=2.0)
noise = layers.CouplingFlow(num_layers=4).inverse(np.zeros((2, 6), "float32"))

completer: models.CompletionVAE = models.load_pretrained("completion_olivetti")
faces = data.load("olivetti").x_test[:5]
visible: np.ndarray = masks.draw("strokes", 5, (64, 64), seed=1)
answers: np.ndarray = completer.complete(faces, visible, num_samples=16, seed=0)
quality: dict[str, np.ndarray] = evaluation.completion_quality(faces, visible, answers)
scores: dict = models.pretrained_results("vae_mnist")

judge: models.ImageClassifier = models.load_pretrained("classifier_mnist")
features: np.ndarray = judge.features(x[:1000])
distance: float = evaluation.frechet_distance(features, judge.features(fours))
report = evaluation.generation_report(fours, x[:1000], features=judge, labels=[4] * 16)
recall: float = (
    evaluation.precision_recall(features, features).recall + report["recall"]
)

figure: Figure = plots.attention_figure(images, maps, queries=[(3, 7)], title="maps")
plots.image_grid(paths, row_titles=["first", "second"]).savefig("paths.png")
plots.completion_figure(faces, visible, answers[:, :4]).savefig("faces.png")
plots.curves({"loss": history["generator_loss"]}, "epoch", "loss").savefig("loss.png")
weights = tfattn.ops.attention_weights(features, features, sharpness=0.1)
