"""Scripted faults of requests and operations. They must not know the services that they affect."""
