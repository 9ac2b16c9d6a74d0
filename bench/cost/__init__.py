"""What receipts cost, for models of one's own: docs/bench.md.

report = zktally.bench.cost.run("model.onnx", "costs", modes=("fast", "strict"))
report.crossovers, report.growths, report.rows
"""

from .api import merge, run
from .report import CostReport

__all__ = ["CostReport", "merge", "run"]
