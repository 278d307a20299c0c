"""Who can get into a cluster and why: rules, grants, PIM, Conditional Access. It must not know plans."""
