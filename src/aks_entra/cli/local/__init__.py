"""A Prefect server and a worker on this machine, for as long as a command runs. This package must not know Azure."""
