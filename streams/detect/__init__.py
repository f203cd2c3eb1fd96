"""When usage and value drift apart: alert rules, baselines, the life of an alert. Pure."""
