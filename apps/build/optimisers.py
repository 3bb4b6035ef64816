"""From settings to optimisers."""

import jax
import optax

from apps.config import AdamW


def optimiser(
    wanted: AdamW, *, steps: int, again: int | None = None
) -> optax.GradientTransformation:
    """Return AdamW on its schedule, behind the clip.

    Weight decay takes kernels alone: drawn to zero, a bias, a gain or a Snake's frequency would
    not be simpler, only wrong.

    Args:
        wanted: The settings.
        steps: Updates in the whole run.
        again: The update with which the schedule begins anew; None goes through it once.
    """
    course = learning_rate(wanted, steps=again or steps)
    if again is not None:
        later = learning_rate(wanted, steps=steps - again)
        course = optax.join_schedules([course, later], [again])
    adamw = optax.adamw(
        course,
        b1=wanted.beta1,
        b2=wanted.beta2,
        weight_decay=wanted.weight_decay,
        mask=lambda weights: jax.tree.map(lambda leaf: leaf.ndim >= 2, weights),
    )
    if wanted.clip is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(wanted.clip), adamw)


def learning_rate(wanted: AdamW, *, steps: int) -> optax.Schedule:
    """Return the learning rate as a function of the number of updates made."""
    rate, warmup = wanted.learning_rate, wanted.warmup_steps
    steps = max(steps - warmup, 1)
    match wanted.schedule:
        case "constant":
            course = optax.constant_schedule(rate)
        case "cosine":
            course = optax.cosine_decay_schedule(rate, steps, alpha=wanted.final)
        case "exponential":
            course = optax.exponential_decay(rate, steps, wanted.final)
    if not warmup:
        return course
    # From rate / warmup, not from 0: the first step is not to be lost.
    rise = optax.linear_schedule(rate / warmup, rate, warmup)
    return optax.join_schedules([rise, course], [warmup])
