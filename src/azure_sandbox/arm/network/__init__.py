"""Microsoft.Network, as far as clusters need it. It does not know API servers."""
