"""Private clusters in two virtual networks, and the networks from which they can be reached."""

from __future__ import annotations

from typing import Final

SPLIT: Final = """\
      - name: split
        location: westeurope
        virtualNetworks:
          - {name: north, addressPrefixes: [10.1.0.0/16], subnets: [{name: nodes, addressPrefix: 10.1.0.0/24}]}
          - {name: south, addressPrefixes: [10.2.0.0/16], subnets: [{name: nodes, addressPrefix: 10.2.0.0/24}]}
        clusters:
          - {name: far, nodes: 1, identity: managed, adminGroups: [aks-admins], private: true}
          - {name: north, nodes: 1, identity: none, private: true, subnet: north/nodes}
          - {name: south, nodes: 1, identity: managed, adminGroups: [aks-admins], private: true, subnet: south/nodes}
networks:
  - {name: north, virtualNetworks: [split/north]}
  - {name: south, virtualNetworks: [split/south]}
"""
"""The last resource group of a world, and what follows its subscriptions."""
