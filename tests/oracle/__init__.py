"""The naive reference of tokenworth's results; start at world.py."""
