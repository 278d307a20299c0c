"""Keeps a sandbox in a folder so that it survives a restart. It must not know the proxy."""
