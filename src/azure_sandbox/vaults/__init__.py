"""Azure Key Vault: keys that sign."""
