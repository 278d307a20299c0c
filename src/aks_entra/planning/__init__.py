"""Reads a fleet through the ports and plans it; the core decides. Planning must not write to Azure."""
