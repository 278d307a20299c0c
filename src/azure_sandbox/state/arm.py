"""ARM and cluster state that a world file cannot express, as JSON and back: operations, objects, keys, rights."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from azure_sandbox.arm.service import Arm
from azure_sandbox.arm.state import ManagedCluster, Operation, State
from azure_sandbox.state.codec import decode, encode
from azure_sandbox.state.keys import read_generation, read_pair, write_generation, write_pair

Document = dict[str, Any]
HELD = (
    "locks",
    "denials",
    "fleets",
    "definitions",
    "exemptions",
    "policies",
    "scale_sets",
    "registered",
    "features",
)  # attributes of the state that are stored unchanged
OF_OPERATIONS = tuple(it.name for it in fields(Operation) if it.name not in {"cluster", "asked", "begun"})


def kept_arm(arm: Arm) -> Document:
    """Return the state to store, as JSON."""
    state = arm.state
    return {
        "activity": encode(list(state.activity.all())),
        "ledger": encode(list(arm.ledger.all())),
        "assignments": encode(list(state.access.all())),
        "roles": encode(state.roles.custom()),
        "plain": encode(list(state.plain.values())),
        "diagnosticSettings": encode(state.logs.settings),
        **{name: encode(getattr(state, name)) for name in HELD},
        "deleting": [
            it.id.lower() for home in state.subscriptions.values() for it in home.groups.values() if it.deleting
        ],
        "clusters": {key: _cluster(it) for key, it in state.clusters.items()},
        "operations": [_operation(arm, it) for it in state.operations.values()],
    }


def restore_arm(kept: Document, arm: Arm) -> None:
    """Restore stored state into a control plane that was built from the world."""
    state = arm.state
    for entry in decode(kept["activity"]):
        state.activity.add(entry)
    arm.ledger.restore(decode(kept.get("ledger", [])))
    for role in decode(kept["roles"]):
        state.roles.put(role)
    state.access.replace(decode(kept["assignments"]))
    state.logs.settings |= decode(kept.get("diagnosticSettings", {}))
    for name in HELD:
        held: dict[str, Any] = getattr(state, name)
        held.clear()
        held.update(decode(kept.get(name, {})))
    _restore_groups(kept, state)
    for key, its in kept["clusters"].items():
        if found := state.clusters.get(key):
            _restore_cluster(found, its)
    for its in kept["operations"]:
        if found := state.clusters.get(its["cluster"]):
            _restore_operation(arm, found, its)


def _restore_groups(kept: Document, state: State) -> None:
    for it in decode(kept.get("plain", [])):
        state.keep(it)
    for home in state.subscriptions.values():
        for group in home.groups.values():
            group.deleting = group.id.lower() in kept["deleting"]


def _cluster(it: ManagedCluster) -> Document:
    keys: Document = {}
    if it.server.touched:
        keys = {
            "generation": write_generation(it.server.keys),
            "retired": [write_pair(one.certificate, one.key) for one in it.server.retired],
        }
    return {
        "etag": it.etag,
        "uid": it.uid,
        "poolEtags": it.pool_etags,
        "state": it.state,
        "poolStates": it.pool_states,
        "commands": encode(it.commands),
        "children": encode(it.children),
        "life": _life(it),
        **keys,
    }


def _life(it: ManagedCluster) -> Document:
    life = it.server.life()
    store = life.pop("store", None)  # JSON already
    return {"plain": encode(life), "store": store}


def _restore_cluster(it: ManagedCluster, kept: Document) -> None:
    if "generation" in kept:
        it.server.restore(read_generation(kept["generation"]), [read_pair(one) for one in kept["retired"]])
    it.etag, it.uid, it.pool_etags = kept["etag"], kept["uid"], kept["poolEtags"]
    it.state, it.pool_states = kept["state"], kept["poolStates"]
    it.commands = decode(kept["commands"])
    if "children" in kept:  # a folder of an earlier version has none
        it.children = decode(kept["children"])
    it.server.live_on({**decode(kept["life"]["plain"]), "store": kept["life"]["store"]})


def _operation(arm: Arm, it: Operation) -> Document:
    latest = it.cluster.operation is it
    return {
        "cluster": it.cluster.id.lower(),
        "share": arm.operations.share(it) if it.running else 1.0,
        "latest": latest,
        "begun": None if it.asked is None else encode(it.asked.begun),
        "is": encode({name: getattr(it, name) for name in OF_OPERATIONS}),
    }


def _restore_operation(arm: Arm, cluster: ManagedCluster, kept: Document) -> None:
    operation = Operation(cluster=cluster, begun=arm.clock.progress(), **decode(kept["is"]))
    if kept["begun"] is not None:
        operation.asked = arm.state.activity.ending(decode(kept["begun"]))
    if operation.running:
        arm.resume(operation, kept["share"])
        return
    arm.state.operations[operation.id] = operation
    if kept["latest"]:
        cluster.operation = operation
