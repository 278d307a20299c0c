"""The pure core: what a cluster is, what it should be, the steps between, and what the evidence proves.

Nothing here reads a clock, an environment, a file or a network. Everything that varies is an argument.
"""
