"""From what Azure and Microsoft Graph print of a fleet to a world in which a change of it can be rehearsed."""
