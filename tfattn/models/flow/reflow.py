"""Reflow: straighter paths from a flow's own pairs of noise and images."""

from typing import Any

import keras
from keras import ops

from tfattn._checks import checked_images
from tfattn._typing import Tensor
from tfattn.models.averaging import move_average
from tfattn.models.flow.model import AttentionFlow
from tfattn.models.replicas import drawn, replica_loss
from tfattn.models.training_data import is_data_set


class Reflow(keras.Model):
    """Trains a flow once more, on pairs of noise and the images it made of them.

    The paths between the pairs of a flow hardly cross, so that the mean velocity at a
    point is nearly that of the one path there. What is learned from them has straight
    paths, and a few steps, even one, follow these to the end. If the images were
    generated with guidance, the flow gives such images without guidance afterwards.

    ```python
    labels = np.arange(60_000) % 10
    noise = flow.sample_noise(60_000, seed=0)
    images = flow.generate_from(noise, labels, guidance=1.5)
    reflow = tfattn.models.Reflow(flow)
    reflow.compile("adam")
    reflow.fit([noise, images, labels], batch_size=128, epochs=10)
    flow.generate(10, range(10), num_steps=1, solver="euler")
    ```

    Training changes `flow` itself, from its moving average on, which starts anew. The
    time is uniform in [0, 1], no condition is dropped, and no pixel is dequantized.

    Source: Liu et al., *Flow Straight and Fast*, arXiv:2209.03003, algorithm 1.

    Args:
        flow: The flow; not one with `completes=True`, which would unlearn to complete.

    Call arguments:
        inputs: Noise (n, h, w, c), images (n, h, w, c) in [0, 1] and, for a flow with a
            condition, the condition as `flow` takes it in training.

    Output:
        The mean over the pixels of the squared error of the velocity (n,).

    Raises:
        ValueError: For a flow with `completes=True`.
    """

    def __init__(self, flow: AttentionFlow, **kwargs: Any) -> None:
        if flow.completes:
            raise ValueError(
                "Pairs of noise and images show nothing as visible: the flow would "
                "unlearn to complete. Expected a flow with completes=False. Received: "
                "completes=True"
            )
        # With the flow's policy, float16 gets its loss scaled.
        super().__init__(**{"dtype": flow.dtype_policy, **kwargs})
        self.flow = flow
        # As in the flow: half precision would round the noise and the time.
        self.autocast = False
        self.seed_generator = keras.random.SeedGenerator(flow.seed)
        flow.trained_network.set_weights(flow.average_network.get_weights())
        flow.num_averaged.assign(0.0)
        self.built = True

    def fit(self, x: Any = None, **options: Any) -> keras.callbacks.History:
        """`keras.Model.fit` on a list: noise, images and the condition, if any.

        Raises:
            ValueError: For noise and images that are not of the flow's shape and of one
                number, or a condition that does not fit the flow.
        """
        for name in ("y", "sample_weight", "class_weight", "validation_data"):
            if options.get(name) is not None:
                raise ValueError(
                    f"Expected pairs without {name}. Received: {name} of type "
                    f"{type(options[name]).__name__}"
                )
        if not is_data_set(x):
            x = self._checked_pairs(x)
        return super().fit(x, **options)

    def _checked_pairs(self, x):
        if not isinstance(x, list | tuple) or len(x) not in (2, 3):
            raise ValueError(
                "Expected a list of noise, images and the condition, if any. Received: "
                f"x of type {type(x).__name__}"
            )
        noise = self.flow._checked_noise(x[0])
        images = checked_images(x[1], self.flow.image_shape)
        if len(noise) != len(images):
            raise ValueError(
                "Expected as much noise as images. Received: "
                f"{len(noise)} and {len(images)}"
            )
        condition = self.flow._checked_condition([*x, None][2], len(images))
        return [noise, images] if condition is None else [noise, images, condition]

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        noise, images, *condition = inputs
        noise, images = ops.cast(noise, "float32"), ops.cast(images, "float32")
        flow, network = self.flow, self.flow.average_network
        if training:
            network = flow.trained_network
            move_average(
                flow.average_network, network, flow.ema_decay, flow.num_averaged
            )
            flow.num_averaged.assign_add(1.0)
        t = drawn(keras.random.uniform, (ops.shape(noise)[0],), self.seed_generator)
        wide = t[:, None, None, None]
        target = flow._dequantized(images, 0.5) - noise
        encoded = [flow._encoded(part) for part in condition]
        velocity = network([noise + wide * target, t, *encoded])
        return ops.mean(ops.square(velocity - target), axis=(1, 2, 3))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        return replica_loss(ops.mean(y_pred), ops.shape(y_pred)[0])
