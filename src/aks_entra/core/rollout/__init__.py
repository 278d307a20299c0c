"""What a rollout may do next, decided from its plan and its stored verdicts. It must not know how they are stored."""
