"""Tests of streams.windows."""
