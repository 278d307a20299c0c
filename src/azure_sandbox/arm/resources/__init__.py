"""Subscriptions, resource groups, providers and Azure Resource Graph. It does not know API servers."""
