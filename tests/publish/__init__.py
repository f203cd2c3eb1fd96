"""Tests of streams.publish."""
