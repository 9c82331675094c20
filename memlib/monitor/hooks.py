"""Where a monitor meets other people's training loops; nothing of theirs is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from memlib.monitor.points import ScoreAt
from memlib.monitor.watch import Monitor
from memlib.schedule import Prediction, score_from_prediction
from memlib.score import Score


def unet_score(unet: Callable[..., Any], scheduler: Any, **conditions: Float[Tensor, "N ..."]) -> ScoreAt:
    """The score of a U-Net as diffusers' training scripts hold it, for `Monitor`.

    Args:
        unet: `unet(x, t, **conditions).sample`.
        scheduler: with `alphas_cumprod` and `config.prediction_type`, such as `DDPMScheduler`.
        conditions: what else the network takes, such as `encoder_hidden_states`, one row for each point of
            the monitor in its order.
    """
    given = scheduler.config.prediction_type
    kind: Prediction = "v" if given == "v_prediction" else given

    def at(t: float, numbers: Int64[Tensor, " B"]) -> Score:
        kept = float(scheduler.alphas_cumprod[int(t)])
        alpha, sigma = kept**0.5, (1 - kept) ** 0.5
        rows = {name: values[numbers.to(values.device)] for name, values in conditions.items()}

        def fn(x: Tensor) -> Tensor:
            output = unet(x, int(t), **rows).sample
            return score_from_prediction(output, x, x.new_tensor(alpha), x.new_tensor(sigma), kind)

        return Score(fn, alpha=alpha, sigma=sigma, name=f"U-Net at t={t}")

    return at


class TrainerHook:
    """For Lightning: `class Watch(TrainerHook, lightning.pytorch.Callback): pass`.

    Args:
        monitor: is asked after every batch and before the first.
        stop: end the training at the warning.
    """

    def __init__(self, monitor: Monitor, *, stop: bool = False) -> None:
        super().__init__()
        self.monitor, self.stop = monitor, stop

    def on_train_start(self, trainer: Any, module: Any) -> None:  # noqa: ARG002  # the protocol's
        """A look before the first step, from which changes are counted."""
        self.monitor.step(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002  # the protocol's
        """A look if one is due; with `stop` the trainer is told to end."""
        check = self.monitor.step(trainer.global_step)
        if self.stop and check is not None and check.alarm:
            trainer.should_stop = True
