"""How well alerts are judged: labelled scenarios for the default rules, the Numenta Anomaly Benchmark for the detectors."""
