"""What training two networks against each other needs beyond Keras's own training."""

import keras


@keras.saving.register_keras_serializable(package="tfattn")
class TwoTimeScaleOptimizer(keras.optimizers.Optimizer):
    """A generator's and a discriminator's optimiser, one object to Keras.

    Both apply the gradients of their own network; see `SelfAttentionGAN`. Their
    learning rates differ in the two time-scale update rule.

    Source: Heusel et al., arXiv:1706.08500, section 2.

    Args:
        generator: A Keras optimiser; `None` is Adam(1e-4, β₁=0, β₂=0.9).
        discriminator: A Keras optimiser; `None` is Adam(4e-4, β₁=0, β₂=0.9).

    `learning_rate` is the generator's; setting it scales the discriminator's alike.
    """

    def __init__(self, generator=None, discriminator=None, name="two_time_scale"):
        super().__init__(learning_rate=0.0, name=name)
        if generator is None:
            generator = keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9)
        if discriminator is None:
            discriminator = keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.9)
        self.generator = generator
        self.discriminator = discriminator

    def build_both(self, generator_variables, discriminator_variables):
        """Makes the variables of both optimisers."""
        self.generator.build(generator_variables)
        self.discriminator.build(discriminator_variables)
        self.built = True

    def scale_losses(self):
        """Wraps both in Keras's loss scaling, which float16 needs."""
        wrapper = keras.optimizers.LossScaleOptimizer
        for name in ("generator", "discriminator"):
            optimizer = getattr(self, name)
            if not isinstance(optimizer, wrapper):
                setattr(self, name, wrapper(optimizer))

    @property
    def variables(self):
        return [*self.generator.variables, *self.discriminator.variables]

    @property
    def iterations(self):
        return self.generator.iterations

    @property
    def learning_rate(self):
        return self.generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        ratio = self.discriminator.learning_rate / self.generator.learning_rate
        self.discriminator.learning_rate = ratio * learning_rate
        self.generator.learning_rate = learning_rate

    # The two optimisers are saved as what they are: nothing else is to be saved.
    def save_own_variables(self, store):
        """Nothing of its own."""

    def load_own_variables(self, store):
        """Nothing of its own."""

    def finalize_variable_values(self, var_list):
        """Nothing to do: the average of the generator is the model's own."""

    def get_config(self):
        serialize = keras.optimizers.serialize
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in ("generator", "discriminator"):
            config[name] = keras.optimizers.deserialize(config[name])
        return cls(**config)


class AdversarialModel(keras.Model):
    """A model that is trained by `adversarial_step`, on TensorFlow and on JAX.

    A subclass defines `adversarial_step(data)`, written with `pullback` and
    `apply_gradients` below and otherwise with plain calls and assignments. On
    TensorFlow that is the training step; for JAX all state is collected into a scope
    that makes a pure function of it.
    """

    def train_step(self, *arguments):
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

    def pullback(self, function, variables, *tensors):
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
        import jax

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

    def apply_gradients(self, optimizer, gradients, variables):
        """One step of an optimiser."""
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
