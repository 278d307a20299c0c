"""Give, end, explain and review access through the ports. This package must not know Azure's SDKs or Prefect."""
