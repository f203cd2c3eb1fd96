"""Tests of tokenworth; the folders mirror streams/."""
