"""Single looks at one cluster from outside, each returned as evidence. Probes must not write or judge."""
