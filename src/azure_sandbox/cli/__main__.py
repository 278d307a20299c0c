"""Entry point of `python -m azure_sandbox.cli`."""

from azure_sandbox.cli import main

main()
