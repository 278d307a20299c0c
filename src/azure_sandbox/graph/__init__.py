"""Microsoft Graph v1.0: groups and principals, Privileged Identity Management, Conditional Access, the sign-in log."""
