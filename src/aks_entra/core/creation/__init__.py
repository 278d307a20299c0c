"""A cluster that does not exist yet: what ARM is asked for, what that needs, and how an existing one differs."""
