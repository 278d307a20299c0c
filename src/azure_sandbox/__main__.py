"""Entry point of `python -m azure_sandbox`."""

from azure_sandbox.cli import main

main()
