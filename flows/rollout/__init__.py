"""The parts of a rollout that several runbooks share. They must not know Azure."""
