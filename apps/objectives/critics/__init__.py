"""Critics: they score signals, high where a signal looks real, and show what they saw."""

from apps.objectives.critics.critics import Critics as Critics
from apps.objectives.critics.critics import make_critics as make_critics
from apps.objectives.critics.verdict import Verdict as Verdict
