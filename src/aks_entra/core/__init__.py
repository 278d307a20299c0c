"""The pure centre: what a cluster is, what it should be, which steps lie between, and what the evidence proves.

Nothing here reads a clock, an environment, a file or a network; everything that varies comes in as an argument.
"""
