"""What training two networks against each other needs beyond Keras's own training."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from tfattn._typing import Tensor
from tfattn.models.generative import GenerativeModel
from tfattn.models.replicas import share_of_batch


@keras.saving.register_keras_serializable(package="tfattn")
class TwoTimeScaleOptimizer(keras.optimizers.Optimizer):
    """A generator's and a discriminator's optimizer, one object to Keras.

    Both apply the gradients of their own network; see `SelfAttentionGAN`. Their
    learning rates differ in the two time-scale update rule.

    Source: Heusel et al., arXiv:1706.08500, section 2.

    Args:
        generator: A Keras optimizer or its name; `None` is Adam(1e-4, β₁=0, β₂=0.9).
        discriminator: Likewise, another one; `None` is Adam(4e-4, β₁=0, β₂=0.9).

    `learning_rate` is the generator's. Setting it sets both, at the ratio that they had
    at the start; with schedules it cannot be set.

    Raises:
        ValueError: For one optimizer twice.
    """

    def __init__(
        self,
        generator: keras.optimizers.Optimizer | str | None = None,
        discriminator: keras.optimizers.Optimizer | str | None = None,
        name: str = "two_time_scale",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        if generator is None:
            generator = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
        if discriminator is None:
            discriminator = keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.9)
        if generator is discriminator and not isinstance(generator, str):
            raise ValueError(
                "Each network needs an optimizer of its own. Expected two. Received: "
                f"{generator} as both"
            )
        self.generator: keras.optimizers.Optimizer = keras.optimizers.get(generator)
        self.discriminator: keras.optimizers.Optimizer = keras.optimizers.get(
            discriminator
        )
        self._ratio = self._ratio_of_rates()

    def _ratio_of_rates(self):
        """The discriminator's learning rate over the generator's; `None` if none is."""
        rates = []
        for optimizer in (self.generator, self.discriminator):
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)
            if not isinstance(optimizer._learning_rate, keras.Variable):
                return None  # a schedule
            rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
        return rates[1] / rates[0] if rates[0] else None

    def build_both(
        self,
        generator_variables: Sequence[keras.Variable],
        discriminator_variables: Sequence[keras.Variable],
    ) -> None:
        """Makes the variables of both optimizers."""
        self.generator.build(generator_variables)
        self.discriminator.build(discriminator_variables)
        self.built = True

    def scale_losses(self) -> None:
        """Wraps both in Keras's loss scaling, which float16 needs."""
        self.generator, self.discriminator = (
            optimizer
            if isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            else keras.optimizers.LossScaleOptimizer(optimizer)
            for optimizer in (self.generator, self.discriminator)
        )

    @property
    def variables(self) -> list[keras.Variable]:
        return [*self.generator.variables, *self.discriminator.variables]

    @property
    def iterations(self) -> Tensor:
        return self.generator.iterations

    @property
    def learning_rate(self) -> Tensor:
        return self.generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        if self._ratio is None:
            raise ValueError(
                "Expected two optimizers with numbers above 0 as learning rates, whose "
                "ratio stays. Received: a schedule, or a generator's rate of 0"
            )
        self.discriminator.learning_rate = self._ratio * learning_rate
        self.generator.learning_rate = learning_rate

    # The two optimizers are saved as what they are: nothing else is to be saved.
    def save_own_variables(self, store: Any) -> None:
        """Nothing of its own."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing of its own."""

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Nothing to do: the average of the generator is the model's own."""

    def get_config(self) -> dict[str, Any]:
        serialize = keras.optimizers.serialize
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "TwoTimeScaleOptimizer":
        config = dict(config)
        for name in ("generator", "discriminator"):
            config[name] = keras.optimizers.deserialize(config[name])
        return cls(**config)


class AdversarialModel(GenerativeModel):
    """A model whose generator and discriminator are trained in turn.

    A subclass has the network `discriminator`, lists the variables that play against it
    in `generator_variables()`, and defines `adversarial_step(data)`, written with
    `pullback` and `descend` below and otherwise with plain calls and assignments. On
    TensorFlow that is the training step; for JAX all state is collected into a scope
    that makes a pure function of it. Where `adversarial` is `False`, the model is
    compiled and trained as Keras does it.

    The losses are the hinge losses of Lim & Ye, arXiv:1705.02894, as in Zhang et al.,
    arXiv:1805.08318, equation 4.
    """

    adversarial = True

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile` with a `TwoTimeScaleOptimizer`.

        Args:
            optimizer: By default that of the two time-scale update rule.
            **kwargs: As for `GenerativeModel.compile`.

        Raises:
            ValueError: For another kind of optimizer.
        """
        if not self.adversarial:
            super().compile(optimizer or "rmsprop", **kwargs)
            return
        if optimizer is None:
            optimizer = TwoTimeScaleOptimizer()
        if not isinstance(optimizer, TwoTimeScaleOptimizer):
            raise ValueError(
                "Adversarial training has two optimizers. Expected optimizer to be a "
                f"TwoTimeScaleOptimizer. Received: optimizer={optimizer!r}"
            )
        if self.compute_dtype == "float16":
            optimizer.scale_losses()
        super().compile(optimizer, auto_scale_loss=False, **kwargs)
        optimizer.build_both(
            self.generator_variables(), self.discriminator.trainable_variables
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        # Two networks have no common loss.
        return [m for m in super().metrics if not self.adversarial or m.name != "loss"]

    def _checked(self, x, y, sample_weight):
        if self.adversarial and sample_weight is not None:
            raise ValueError(
                "Adversarial losses have no weights. Expected sample_weight=None."
            )
        return super()._checked(x, y, sample_weight)

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Hinge loss of scores (n, 1) of real and of generated images: a scalar."""
        return ops.mean(ops.relu(1 - real_scores)) + ops.mean(ops.relu(1 + fake_scores))

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Loss of scores (n, 1) of generated images: a scalar."""
        return -ops.mean(fake_scores)

    def train_step(self, *arguments: Any) -> Any:
        if not self.adversarial:
            return super().train_step(*arguments)
        if keras.backend.backend() == "tensorflow":
            (data,) = arguments
            self.adversarial_step(data)
            return self.get_metrics_result()
        if keras.backend.backend() != "jax":
            raise ValueError(
                "Adversarial training runs on the TensorFlow and the JAX backend. "
                f"Received: the {keras.backend.backend()} backend"
            )
        state, data = arguments
        groups = self._state_variables()
        mapping = [
            pair
            for variables, values in zip(groups, state, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with keras.StatelessScope(mapping) as scope:
            self.adversarial_step(data)
            logs = self.get_metrics_result()
        new_state = tuple(
            [_current_value(scope, variable) for variable in group] for group in groups
        )
        return logs, new_state

    def _state_variables(self):
        return (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )

    def pullback(
        self,
        function: Callable[..., Tensor],
        variables: Sequence[keras.Variable],
        *tensors: Tensor,
    ) -> tuple[Tensor, Callable[[Tensor], Any]]:
        """The value of a function and what its gradients are made by.

        Args:
            function: Takes `tensors`, returns a tensor.
            variables: Variables to differentiate by.
            *tensors: Tensors to differentiate by.

        Returns:
            The value, and a function from a cotangent of the value's shape to the
            gradients of the variables and of the tensors, two lists.
        """
        if keras.backend.backend() == "jax":
            return self._jax_pullback(function, variables, *tensors)
        import tensorflow as tf

        values = [v.value for v in variables]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = function(*tensors)

        def gradients(cotangent):
            both = tape.gradient(
                output, [*values, *tensors], output_gradients=cotangent
            )
            return both[: len(values)], both[len(values) :]

        return output, gradients

    def _jax_pullback(self, function, variables, *tensors):
        import jax  # pyright: ignore[reportMissingImports]

        everything = [v for group in self._state_variables() for v in group]
        before = [v.value for v in everything]

        def pure(values, tensors):
            mapping = list(zip(everything, before, strict=True))
            mapping += zip(variables, values, strict=True)
            with keras.StatelessScope(mapping) as scope:
                output = function(*tensors)
            after = [_current_value(scope, v) for v in everything]
            return output, after

        values = [v.value for v in variables]
        output, gradients, after = jax.vjp(pure, values, tensors, has_aux=True)
        differentiated = {id(v) for v in variables}
        for variable, value in zip(everything, after, strict=True):
            if id(variable) not in differentiated:
                variable.assign(value)
        return output, gradients

    def discriminator_step(
        self, real: Tensor, fake: Tensor, condition: Sequence[Tensor] = ()
    ) -> Tensor:
        """One step of the discriminator on images, real and generated: its loss."""

        def loss():
            # In one pass, real and generated images meet the same weights.
            images = ops.concatenate([real, fake])
            both = [ops.concatenate([c, c]) for c in condition]
            scores = self.discriminator([images, *both], training=True)
            return self.discriminator_loss(*ops.split(scores, 2))

        return self.descend(
            self.optimizer.discriminator,
            loss,
            self.discriminator.trainable_variables,
            ops.shape(real)[0],
        )

    def descend(
        self,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[], Tensor],
        variables: Sequence[keras.Variable],
        n: Any,
    ) -> Tensor:
        """One step of an optimizer down the mean loss of n images: the loss before."""
        value, gradients = self.pullback(loss, variables)
        found, _ = gradients(loss_cotangent(optimizer, n))
        self.apply_gradients(optimizer, found, variables)
        return value

    def apply_gradients(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[Tensor],
        variables: Sequence[keras.Variable],
    ) -> None:
        """One step of an optimizer."""
        if keras.backend.backend() != "jax":
            optimizer.apply(gradients, variables)
            return
        new_values, new_state = optimizer.stateless_apply(
            [v.value for v in optimizer.variables],
            gradients,
            [v.value for v in variables],
        )
        for old, new in (
            *zip(variables, new_values, strict=True),
            *zip(optimizer.variables, new_state, strict=True),
        ):
            old.assign(new)


def _current_value(scope, variable):
    value = scope.get_current_value(variable)
    return variable.value if value is None else value


def loss_cotangent(optimizer: keras.optimizers.Optimizer, n: Any) -> Tensor:
    """What the gradient of a mean loss of n images is to be multiplied by.

    1 on one device, and in float16 training the factor that its losses are scaled by.
    """
    share = share_of_batch(n) * ops.ones(())
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.scale_loss(share)
    return share
