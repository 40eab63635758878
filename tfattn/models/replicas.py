"""Training on several devices that computes what one device would.

Under a `tf.distribute.MirroredStrategy` each device, a replica, has a part of a batch,
and their gradients are added up. On other backends all devices share one batch.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfattn._typing import Tensor


def num_replicas() -> int:
    """Number of replicas in the scope of a strategy, else 1."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def share_of_batch(n: Any) -> Any:
    """n over the number of images of all replicas; on one device 1.

    Args:
        n: Number of images of this replica.
    """
    replica = _replica()
    if replica is None:
        return 1.0
    whole = ops.sum(_sizes(replica, n))
    return ops.cast(n, "float32") / ops.cast(whole, "float32")


def replica_loss(mean: Tensor, n: Any) -> Tensor:
    """The loss of a replica, as Keras expects it.

    Its value is the mean over the number of replicas, from which Keras makes the loss
    that it reports. Its gradients add up to those of the mean over all images, also
    where one replica has fewer than another.

    Args:
        mean: Mean loss of the images of this replica.
        n: Their number.
    """
    exact = share_of_batch(n) * mean
    return exact + ops.stop_gradient(mean / num_replicas() - exact)


def drawn(
    draw: Callable[..., Tensor],
    shape: tuple,
    seed: keras.random.SeedGenerator,
    axis: int = 0,
    **arguments: Any,
) -> Tensor:
    """Random numbers for the images of this replica, others than other replicas have.

    The seeds of all replicas are the same: each draws the numbers of the whole batch,
    and keeps its own.

    Args:
        draw: `keras.random.normal` or the like.
        shape: Shape of the result.
        seed: `keras.random.SeedGenerator`.
        axis: The axis of the images.
        **arguments: Further arguments of `draw`.
    """
    replica = _replica()
    if replica is None:
        return draw(shape, seed=seed, **arguments)
    sizes = _sizes(replica, shape[axis])
    whole = [*shape]
    whole[axis] = ops.sum(sizes)
    first = ops.sum(sizes[: replica.replica_id_in_sync_group])
    own = first + ops.arange(shape[axis])
    return ops.take(draw(tuple(whole), seed=seed, **arguments), own, axis=axis)


def _replica():
    """TensorFlow's context of this replica; `None` where there is one at most."""
    if num_replicas() == 1:
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def _sizes(replica, n):
    """The number of images of each replica."""
    return replica.all_gather(ops.reshape(n, (1,)), axis=0)
