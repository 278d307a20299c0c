"""The API servers of the clusters. It must not know Azure Resource Manager, which passes in its decisions."""
