"""A local Azure for AKS, Microsoft Entra ID and Microsoft Graph: loopback only, as strict as the real one."""
