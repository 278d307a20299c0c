"""Worlds: read, build, import and export the content of a sandbox. This package must not know the proxy."""
