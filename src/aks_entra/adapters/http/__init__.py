"""Code that all clients of Azure share: network, pacing, paging and errors. It must not know any one service."""
