"""Azure Resource Manager as far as clusters, access and locks need it. It must not know Entra's or Graph's wire."""
