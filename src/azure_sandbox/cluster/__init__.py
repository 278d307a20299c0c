"""The API servers of the clusters. It must not know Azure Resource Manager: that hands in what it decides."""
