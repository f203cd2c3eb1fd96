"""The Faust app, its batch transport, and one thin agent each for join, windows and alerts."""
