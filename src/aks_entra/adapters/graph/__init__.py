"""Microsoft Graph over the HTTP pipeline of its SDK: groups, principals, PIM, Conditional Access."""
