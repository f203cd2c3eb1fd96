"""Detectors of maintained libraries beside those of the product, in an environment of their own."""
