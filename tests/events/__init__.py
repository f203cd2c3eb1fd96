"""Tests of streams.events."""
