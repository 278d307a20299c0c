"""Credentials and tokens from azure-identity. It must not know what they are used for."""
