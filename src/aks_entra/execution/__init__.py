"""Carries out what was planned, through the ports. Execution must not know Azure's SDKs or Prefect."""
