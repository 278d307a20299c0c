"""Azure Resource Manager through Azure's own SDKs. It must not know Graph or Kubernetes."""
