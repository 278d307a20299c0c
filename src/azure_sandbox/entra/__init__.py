"""Microsoft Entra ID: the directory, sign-ins, Conditional Access, PIM, and the tokens that result."""
