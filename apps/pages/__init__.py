"""Pages that tell of runs: one file each, which needs nothing else to be read and heard."""

from apps.pages.comparison import write as write_comparison
from apps.pages.generated import write as write_generated
from apps.pages.run import FILE as FILE
from apps.pages.run import write as write_run
from apps.pages.skeleton import attempt as attempt

__all__ = ["FILE", "attempt", "write_comparison", "write_generated", "write_run"]
