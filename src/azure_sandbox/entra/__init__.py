"""Microsoft Entra ID: who exists, who is in which group, and the tokens that say so."""
