"""When a game between critic and maker is lost, in words that say what to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

CERTAIN = 0.995
"""Share of pairs told apart from which on a critic counts as certain."""
VANISHED = 1e-4
"""Gradient norm of a maker, over its critic's, below which nothing is learnt."""
ALIKE = 0.05
"""Deviation between made records, over that between real ones, below which they are all alike."""
PATIENCE = 20
"""Logs in a row: a critic is at times certain in a game that goes well."""


@dataclass
class Watch:
    """Reads the metrics of each log, and says once what has gone wrong for `patience` of them.

    A sentence is said again only after its cause has been gone for one log.

    Attributes:
        kind: Of the game. Of a Wasserstein critic nothing follows from its being certain.
        patience: Logs in a row.
    """

    kind: str = "least_squares"
    patience: int = PATIENCE
    _counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, numbers: Mapping[str, float]) -> str | None:
        """Sentences about what has now lasted too long, or None."""
        said = [
            sentence
            for cause, (present, sentence) in self._causes(numbers).items()
            if self._lasts(cause, present=present)
        ]
        return " ".join(said) or None

    def _lasts(self, cause: str, *, present: bool) -> bool:
        self._counts[cause] = self._counts.get(cause, 0) + 1 if present else 0
        return self._counts[cause] == self.patience

    def _causes(self, numbers: Mapping[str, float]) -> dict[str, tuple[bool, str]]:
        logs = f"{self.patience} logs in a row"
        found: dict[str, tuple[bool, str]] = {}
        accuracy = numbers.get("critic/accuracy")
        if accuracy is not None and self.kind != "wasserstein":
            found["certain"] = (
                accuracy >= CERTAIN,
                f"The critic has told every made record from the real ones for {logs}: it has "
                "little left to teach. Lower its learning rate or its number of turns, make it "
                "narrower, or give it a gradient penalty (r1).",
            )
        for name, diversity in numbers.items():
            player, _, metric = name.partition("/")
            if metric != "diversity":
                continue
            norm = numbers.get(f"{player}/gradient_norm", math.nan)
            critic = numbers.get("critic/gradient_norm", math.nan)
            found[f"{player} vanished"] = (
                norm <= VANISHED * critic,
                f"The gradient of {player!r} has been below {VANISHED:g} of the critic's for "
                f"{logs}: it no longer learns. Restart from a checkpoint before, with a lower "
                "learning rate of the critic, or with kind 'hinge' or 'wasserstein'.",
            )
            found[f"{player} alike"] = (
                diversity < ALIKE,
                f"The signals that {player!r} makes have been all alike for {logs} (diversity "
                f"below {ALIKE:g}). Restart from a checkpoint before, with a lower learning rate "
                f"of {player!r}, a larger batch, or a gradient penalty for the critic.",
            )
        return found
