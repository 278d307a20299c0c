"""Evidence for people and machines: JSON first, everything else from it."""
