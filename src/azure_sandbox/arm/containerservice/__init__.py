"""Microsoft.ContainerService: clusters, agent pools, credentials and operations. It knows no wire format of Graph."""
