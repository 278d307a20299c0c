"""Hooks: what is done after the rotation of a cluster, and how their results change its verdict."""
