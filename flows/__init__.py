"""The runbooks. They are deployed by module path (`flows.migrate_fleet.migrate_fleet`), never by file."""
