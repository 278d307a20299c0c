"""Identities in a world file, and the errors for wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.world.build import build_directory
from azure_sandbox.world.model import WorldError, load_world

WHOLE = """\
version: 1
licences: [P1, P2]
issuers: [{issuer: https://oidc.example, keys: [issuer.pem]}]
namedLocations:
  - {name: office, ranges: [203.0.113.0/24], trusted: true}
  - {name: home, countries: [NL]}
users:
  - {name: Alice, upn: alice@contoso.onmicrosoft.com, mfa: false, device: compliant, roles: [Global Reader], ip: "::1"}
servicePrincipals:
  - name: tool
    publicClient: true
    delegatedPermissions: [Group.Read.All]
    federatedCredentials: [{issuer: https://oidc.example, subject: s}]
groups:
  - name: jit
    eligible: [{principal: alice@contoso.onmicrosoft.com, end: in 30 days}]
    activation: [{maximumDuration: PT1H, approvers: [Alice]}]
conditionalAccess:
  - {name: aks, groups: [jit], applications: [Azure Kubernetes Service AAD Server], locations: [All],
     excludeLocations: [office], grant: [mfa], state: reportOnly, deviceCode: true}
"""
KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----
"""


def build(folder: Path, text: str) -> Directory:
    (folder / "issuer.pem").write_text(KEY)
    file = folder / "world.yaml"
    file.write_text(text)
    return build_directory(load_world(file), Clock())[0]


def test_every_key_about_identities_has_an_effect(tmp_path: Path) -> None:
    directory = build(tmp_path, WHOLE)
    alice = directory.user("alice@contoso.onmicrosoft.com")
    assert alice is not None
    assert (alice.mfa, alice.device, alice.ip, len(alice.roles)) == (False, "compliant", "::1", 1)
    (policy,) = directory.conditional.policies.values()
    assert policy["conditions"]["applications"]["includeApplications"] == ["6dae42f8-4368-4678-94ff-3960e28e3630"]
    office = next(it["id"] for it in directory.conditional.locations.values() if it["displayName"] == "office")
    assert policy["conditions"]["locations"]["excludeLocations"] == [office]
    (schedule,) = directory.pim.schedules.values()
    assert (schedule.kind, schedule.principal) == ("eligibility", alice.id)
    assert directory.issuers["https://oidc.example"]["keys"][0]["kty"] == "EC"
    tool = next(it for it in directory.service_principals() if it.display_name == "tool")
    assert isinstance(tool, ServicePrincipal)
    assert (tool.public, tool.secrets) == (True, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("mfa: false", "mfa: perhaps"), "users.0.mfa: Input should be a valid boolean"),
        (("Global Reader", "King"), "unknown directory roles: King"),
        (('"::1"', "here"), "does not appear to be an IPv4 or IPv6 address"),
        (("issuer.pem", "none.pem"), "issuer https://oidc.example: keys: none.pem: No such file"),
        (("P1, P2", "P2"), "policies need the licence P1"),
        (("groups: [jit]", "groups: [nobody]"), "no object is called 'nobody'"),
        (("PT1H", "P1W"), "'P1W' is not a duration such as PT8H"),
        (("eligible: [{principal:", "eligible: [{who:"), "unknown key; allowed here: access, end, principal, start"),
        (("trusted: true", "color: red"), "unknown key; allowed here: countries, id, name, ranges, trusted"),
        (("grant: [mfa]", "grant: [magic]"), "conditionalAccess.0.grant.0: Input should be"),
        (("[Group.Read.All]", "[Everything]"), "unknown Graph permissions: Everything"),
    ],
)
def test_an_error_about_identities_names_its_place(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(WorldError) as caught:
        build(tmp_path, WHOLE.replace(*change))
    assert words in str(caught.value)
