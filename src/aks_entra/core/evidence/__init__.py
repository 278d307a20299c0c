"""What was seen of a cluster, and what that says about old credentials. It must not know plans or verdicts."""
