"""What the chapter on real models needs: spectra, expected costs, recorded runs, a stand-in, a rehearsal."""

from companion.real_models.costs import GPU, Stopwatch, expected, seconds_per_row
from companion.real_models.recorded import recorded_runs
from companion.real_models.spectra import counts
from companion.real_models.stand_in import StandIn, stand_in

__all__ = [
    "GPU",
    "StandIn",
    "Stopwatch",
    "counts",
    "expected",
    "recorded_runs",
    "seconds_per_row",
    "stand_in",
]
