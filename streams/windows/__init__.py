"""Panes, windows, watermarks and their measures. Pure."""
