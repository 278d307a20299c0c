"""Tests. This and `flows` are packages, so that the server of the runbooks ends after the last test of its folder."""
