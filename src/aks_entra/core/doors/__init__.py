"""Doors: the ways into a cluster that remain when everybody signs in with Microsoft Entra ID."""
