"""Microsoft Graph v1.0, as far as groups and the principals in them are concerned."""
