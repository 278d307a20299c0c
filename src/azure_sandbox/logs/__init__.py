"""Log Analytics: workspaces, diagnostic settings that send logs there, and the query endpoint."""
