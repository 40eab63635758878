"""Simple completions of aligned images: what a model has to beat.

Each function takes

* `x_train`: training images (m, h, w, c) in [0, 1]
* `images`: images (n, h, w, c) whose hidden part is to be filled in
* `visible`: boolean array (h, w), the same for all images

and returns completions (n, num_samples, h, w, c), visible pixels as in `images`. The
numbers below were chosen on six people of the Olivetti training set, by fits to the
other 24.
"""

import numpy as np

NUM_COMPONENTS = 60
NOISE_VARIANCE = 0.5
RIDGE_PENALTY = 100.0


def mean_image(
    x_train: np.ndarray, images: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """The mean of the training images, for every image."""
    return _completed(images, visible, _hidden(x_train, visible).mean(axis=0)[None])


def nearest_neighbor(
    x_train: np.ndarray, images: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """The hidden part of the training image whose visible part is nearest."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1).fit(_hidden(x_train, ~visible))
    (nearest,) = search.kneighbors(_hidden(images, ~visible), return_distance=False).T
    return _completed(images, visible, _hidden(x_train, visible)[nearest])


def ridge_regression(
    x_train: np.ndarray, images: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """Each hidden pixel as a linear function of the visible ones."""
    from sklearn.linear_model import Ridge

    return _regressed(Ridge(RIDGE_PENALTY), x_train, images, visible)


def extra_trees(
    x_train: np.ndarray, images: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """Hidden pixels by an average of random trees over the visible ones."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(50, max_features=32, n_jobs=-1, random_state=0)
    return _regressed(trees, x_train, images, visible)


def conditional_gaussian(
    x_train: np.ndarray,
    images: np.ndarray,
    visible: np.ndarray,
    num_samples: int = 16,
    seed: int = 0,
) -> np.ndarray:
    """Samples from a Gaussian of all pixels, given the visible ones.

    With x = W z + mean + noise, z standard normal and W the principal components, each
    times its standard deviation, the visible pixels v give a Gaussian of z in closed
    form, with W_v their rows of W and σ² the noise's variance, `NOISE_VARIANCE`:

        mean of z = (W_vᵀ W_v + σ² I)⁻¹ W_vᵀ (v − mean_v),
        covariance of z = σ² (W_vᵀ W_v + σ² I)⁻¹

    Half of the draws mirror the other half about the mean, so that their mean is exact.

    Source: Tipping & Bishop, *Probabilistic Principal Component Analysis*, 1999, for z
    given all pixels; their W and σ² are those of most likelihood.
    """
    from sklearn.decomposition import PCA

    flat = x_train.reshape(len(x_train), -1)
    analysis = PCA(min(NUM_COMPONENTS, len(flat) - 1)).fit(flat)
    factors = analysis.components_.T * np.sqrt(analysis.explained_variance_)
    hidden = np.broadcast_to(~visible[..., None], x_train.shape[1:]).reshape(-1)
    of_visible, of_hidden = factors[~hidden], factors[hidden]
    precision = of_visible.T @ of_visible + NOISE_VARIANCE * np.eye(factors.shape[1])
    shown = _hidden(images, ~visible) - analysis.mean_[~hidden]
    z = np.linalg.solve(precision, of_visible.T @ shown.T).T[:, None]
    root = np.linalg.cholesky(NOISE_VARIANCE * np.linalg.inv(precision))
    noise = np.random.default_rng(seed).normal(
        size=(len(images), -(-num_samples // 2), z.shape[-1])
    )
    noise = np.concatenate([noise, -noise], axis=1)[:, :num_samples]
    answers = (z + noise @ root.T) @ of_hidden.T + analysis.mean_[hidden]
    return _completed(images, visible, answers)


BASELINES = {
    "mean image": mean_image,
    "nearest neighbor": nearest_neighbor,
    "ridge regression": ridge_regression,
    "extra trees": extra_trees,
    "conditional Gaussian": conditional_gaussian,
}


def with_mirror_images(x: np.ndarray) -> np.ndarray:
    """Images and their mirror images, as the models' training sees them."""
    return np.concatenate([x, x[:, :, ::-1]])


def _regressed(model, x_train, images, visible):
    model.fit(_hidden(x_train, ~visible), _hidden(x_train, visible))
    return _completed(images, visible, model.predict(_hidden(images, ~visible)))


def _hidden(images, visible):
    """The hidden pixels of images as vectors (n, hidden pixels)."""
    return images[:, ~visible].reshape(len(images), -1)


def _completed(images, visible, answers):
    """Vectors of hidden pixels, (n, d) or (n, num_samples, d), put into images."""
    if answers.ndim == 2:
        answers = answers[:, None]
    completions = np.repeat(images[:, None], answers.shape[1], axis=1)
    answers = np.clip(answers, 0, 1).reshape(*answers.shape[:2], -1, images.shape[-1])
    completions[:, :, ~visible] = answers
    return completions
