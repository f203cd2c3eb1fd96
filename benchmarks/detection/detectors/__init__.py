"""Detectors for any series: what is measured on NAB and by no alert rule (docs/decisions/0019)."""
