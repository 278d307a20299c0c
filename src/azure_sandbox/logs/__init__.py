"""Log Analytics: workspaces, what diagnostic settings send there, and the query endpoint of its API."""
