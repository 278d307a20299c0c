"""Reads the tools of this machine and where it runs. It must not know Azure's SDKs."""
