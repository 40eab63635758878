"""Learning rates that change during a training."""

import keras


def warmup_cosine(
    peak_rate: float, num_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """A rate that rises for 300 steps, at most a tenth, then falls to 0.

    Args:
        peak_rate: The largest learning rate.
        num_steps: Number of training steps, after which the rate is 0.
    """
    warmup_steps = min(300, num_steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        1e-5,
        max(1, num_steps - warmup_steps),
        warmup_target=peak_rate,
        warmup_steps=warmup_steps,
    )
