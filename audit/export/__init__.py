"""The dataset without some rows, every change with its reason, and matched controls beside it."""

from audit.export.exporter import Exported, ExportPlan, ExportRequest, plan_export, write_export

__all__ = ["ExportPlan", "ExportRequest", "Exported", "plan_export", "write_export"]
