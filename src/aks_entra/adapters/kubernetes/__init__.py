"""A cluster's API server from outside, through the Kubernetes client. It must not know ARM or Graph."""
