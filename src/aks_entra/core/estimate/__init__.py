"""How long a plan takes: durations of Azure's operations, its request limits, gates, windows and concurrency."""
