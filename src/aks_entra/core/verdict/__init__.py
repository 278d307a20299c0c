"""What the evidence proves about a cluster, a rollback, an opening and a fleet. It must not read evidence."""
