"""The runbooks: order, stages, gates. Deployed by module path (`flows.migrate_fleet.migrate_fleet`), never by file."""
