"""Tests of the runbooks, on one server."""
