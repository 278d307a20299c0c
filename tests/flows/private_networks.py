"""Private clusters in two virtual networks, and the networks from which they can be reached."""

from __future__ import annotations

from typing import Final

SUBSCRIPTION: Final = "5c1d9e7a-2b40-4f63-8a9d-3e7b6f0c1d25"
"""Its own: a sweep of access looks at every cluster of the subscriptions in which access was granted."""
NETWORKS: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/split/providers/Microsoft.Network/virtualNetworks"
SPLIT: Final = f"""\
  - id: {SUBSCRIPTION}
    name: networks
    roleAssignments: [{{principal: operator, role: Owner}}]
    resourceGroups:
      - name: split
        location: westeurope
        virtualNetworks:
          - {{name: north, addressPrefixes: [10.1.0.0/16], subnets: [{{name: nodes, addressPrefix: 10.1.0.0/24}}]}}
          - {{name: south, addressPrefixes: [10.2.0.0/16], subnets: [{{name: nodes, addressPrefix: 10.2.0.0/24}}]}}
        clusters:
          - {{name: far, nodes: 1, identity: managed, adminGroups: [aks-admins], private: true}}
          - {{name: north, nodes: 1, identity: none, private: true, subnet: north/nodes}}
          - {{name: south, nodes: 1, identity: managed, adminGroups: [aks-admins], private: true, subnet: south/nodes}}
networks:
  - {{name: north, virtualNetworks: [{NETWORKS}/north]}}
  - {{name: south, virtualNetworks: [{NETWORKS}/south]}}
"""
"""The last subscription of a world, and what follows its subscriptions."""
