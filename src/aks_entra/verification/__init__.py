"""Verify clusters from outside: the command line and the nightly flow use the same function."""
