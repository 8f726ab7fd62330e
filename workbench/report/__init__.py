"""From results to tables, pictures and one page: `imo report OUTPUT`."""

from imo.workbench.report.tables import Cell, Comparison, averages, comparison

__all__ = ["Cell", "Comparison", "averages", "comparison"]
