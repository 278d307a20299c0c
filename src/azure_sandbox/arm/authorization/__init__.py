"""Microsoft.Authorization: roles, assignments, locks, policies, deny assignments. It knows no wire format of Graph."""
