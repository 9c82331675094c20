"""Whether marked rows of a table are exchangeable with the others, asked again and again at one error rate.

If a training makes no use of which images of a pool it holds, then the marks on the training images could
have been dealt out in any other way: whatever is measured at every image, and however often, the marks that
are true rank among random ones as a fair draw would. So random labelings are made once and followed through
the training beside the true one. At every look the most extreme of those that are left are crossed out, no
more in all than an allowance that grows towards `level` times their number (spending: Lan and DeMets 1983).
The true one is crossed out by chance with probability at most `level`, over any number of looks and whatever
the dependence between them, which is carried by the labelings (Westfall and Young 1993).

A bet renewed at every look on the *same* points would not do: training images that happen to be easier than
the held-out ones are so at every look, and the bet would win each time.

References:
    Lan and DeMets (1983), Discrete sequential boundaries for clinical trials, Biometrika 70, 659.
    Westfall and Young (1993), Resampling-Based Multiple Testing, Wiley (the largest statistic).
    Phipson and Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9, 39.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Look:
    """What one look at the table says.

    Attributes:
        alarm: whether the true labeling has been crossed out, at this look or an earlier one.
        p_value: share of the labelings whose statistic is at least that of the true one, at this look alone.
        statistic: the largest standardized difference, marked minus other rows, over the columns.
        column: the column that has it.
    """

    alarm: bool
    p_value: float
    statistic: float
    column: int


class SequentialTest:
    """A test that marked rows have larger entries, valid at every look together.

    Args:
        member: `(n,)`, which rows are marked.
        paired: row i of the first half belongs to row i of the second, and only the two may be exchanged;
            the first half must be the marked one.
        level: the probability of a false alarm over all looks.
        labelings: random ones beside the true one.
        half: the look by which half of the allowance has been spent.
        seed: of the labelings.

    Raises:
        ValueError: no row or every row is marked, pairs that are none, or so few labelings that an alarm
            could never be given.
    """

    def __init__(
        self,
        member: Bool[Tensor, " n"],
        *,
        paired: bool = False,
        level: float = 0.01,
        labelings: int = 1999,
        half: int = 10,
        seed: int = 0,
    ) -> None:
        n, marked = len(member), int(member.sum())
        if not 0 < marked < n:
            raise ValueError(f"some rows must be marked and some not, got {marked} of {n}")
        if paired and not (2 * marked == n and bool(member[:marked].all())):
            raise ValueError("pairs need the marked rows first and as many others after them")
        if not (0 < level < 1 and level * (labelings + 1) >= 1 and half >= 1):
            raise ValueError(
                f"a level of {level} needs at least {1 / max(level, 1e-9):.0f} labelings and half >= 1, "
                f"got {labelings + 1} and {half}"
            )
        self.member, self.paired, self.level, self.half = member.bool(), paired, level, half
        source = torch.Generator().manual_seed(seed)
        self.labels = torch.stack(
            [self.member, *(self._relabeled(source) for _ in range(labelings))]
        ).double()
        self.left = torch.ones(len(self.labels), dtype=torch.bool)
        self.looks = 0

    def look(self, columns: Float[Tensor, "n m"]) -> Look:
        """Take one more look at the rows.

        Args:
            columns: whatever was measured at every row up to now, m numbers that should be larger for marked
                rows if the marks matter. A column may come from several times, such as a change.

        Raises:
            ValueError: other rows, or entries that are not finite.
        """
        if columns.ndim != 2 or len(columns) != len(self.member) or not bool(columns.isfinite().all()):
            raise ValueError(
                f"columns must be ({len(self.member)}, m) and finite, got {tuple(columns.shape)}"
            )
        each = self._standardized(columns.double())
        statistic, column = each.max(1)
        self.looks += 1
        self._cross_out(statistic)
        share = (statistic >= statistic[0]).double().mean().item()
        return Look(not bool(self.left[0]), share, statistic[0].item(), int(column[0]))

    def _cross_out(self, statistic: Tensor) -> None:
        allowed = int(self.level * self.looks / (self.looks + self.half) * len(self.left) + 1e-9)
        room = allowed - int((~self.left).sum())
        if room > 0:
            ranked = statistic[self.left].sort(descending=True).values
            # Labelings that tie with the first one beyond the allowance stay: ties never spend too much.
            limit = ranked[room] if room < len(ranked) else -torch.inf
            self.left &= ~(statistic > limit)

    def _standardized(self, columns: Tensor) -> Tensor:
        """Difference of means over a scale that is the same for every labeling, `(labelings, m)`."""
        marked = self.labels.sum(1, keepdim=True)
        others = len(self.member) - marked
        values = columns - columns.mean(0)
        difference = self.labels @ values / marked - (1 - self.labels) @ values / others
        if self.paired:
            first, second = values.chunk(2)
            scale = (first - second).square().sum(0).sqrt() / len(first)
        else:
            scale = values.std(0) * (1 / marked + 1 / others).sqrt()
        return torch.where(scale > 0, difference / scale, 0.0)

    def _relabeled(self, source: torch.Generator) -> Tensor:
        if self.paired:
            kept = torch.rand(len(self.member) // 2, generator=source) < 0.5
            return torch.cat([kept, ~kept])
        return self.member[torch.randperm(len(self.member), generator=source)]
