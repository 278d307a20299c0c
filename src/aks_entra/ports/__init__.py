"""The calls that the program makes to Azure, Graph, Kubernetes and this machine. Ports must not know their adapters."""
