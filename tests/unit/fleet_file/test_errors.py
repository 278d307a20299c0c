# ruff: noqa: E501 - a table reads best with one line for each case
"""Wrong fleet files: one error for each problem, with file, line, field and what to write instead."""

from __future__ import annotations

import pytest

from aks_entra.errors import Refused
from aks_entra.fleet_file.model import parse_fleet_file

GUID = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
CLUSTER = (
    "/subscriptions/3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163/resourceGroups/shop-weu"
    "/providers/Microsoft.ContainerService/managedClusters/shop-01"
)
SMALL = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"
ROLLOUT = "rollout: {stages: [{name: one, groups: [{name: a, rest: true}]}]}\n"
GUID = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
APPROVERS = f"approvers: {{tenant_id: {GUID}, client_id: {GUID}, not: requester, groups: [{GUID}]}}"
SIGNED = ROLLOUT.replace("{stages:", "{" + APPROVERS + ", stages:")

SYNTAX = {
    "a tab": ("version: 1\nclusters:\n\t- a\n", "fleet.yaml:3: the line contains a tab", "indent with spaces"),
    "an open quote": ("version: 1\nname: 'prod\n", "fleet.yaml:2: a quote is never closed", "close it"),
    "an open bracket": ("version: 1\nclusters: [a\n", "fleet.yaml:2: a bracket", "close it"),
    "two colons": ("version: 1\nname: a: b\n", "fleet.yaml:2: a colon is not expected here", "in quotes"),
    "a reserved character": ("version: 1\nname: @prod\n", "fleet.yaml:2: a value cannot begin with @", "in quotes"),
    "a percent sign": ("version: 1\nname: %prod\n", "fleet.yaml:2: a value cannot begin with %", "in quotes"),
    "wrong indentation": ("target:\n - a\n name: x\n", "fleet.yaml:3: the indentation differs", "align the line"),
    "a key without colon": ("version: 1\nname\n", "fleet.yaml:2: a key has no colon", "write `key: value`"),
    "two documents": ("version: 1\n---\nversion: 1\n", "fleet.yaml:2: a second document", "one fleet per file"),
    "an unknown anchor": ("version: 1\nname: *a\n", "fleet.yaml:2: there is no anchor named 'a'", "define it first"),
    "an anchor in itself": ("version: 1\nname: &a [*a]\n", "contains itself", "write the values without the anchor"),
    "a control character": ("version: 1\nname: \x07\n", "fleet.yaml:1: not readable as YAML", "plain UTF-8 text"),
    "brackets without end": ("[" * 5000, "fleet.yaml:1: the file is nested too deeply", "use fewer levels"),
    "too deep": (f"a: {'[' * 60}{']' * 60}\n", "the file is nested too deeply", "use fewer levels"),
    "nothing": ("", "fleet.yaml:1: is empty", "`version: 1`"),
    "comments only": ("# later\n", "fleet.yaml:1: is empty", "`version: 1`"),
    "a list": ("- version: 1\n", "fleet.yaml:1: is not a mapping", "`version: 1`"),
    "a word": ("version\n", "fleet.yaml:1: is not a mapping", "`version: 1`"),
    "a key twice": (SMALL + "name: prod2\n", "fleet.yaml:5: name: is written twice (first on line 2)", "remove one"),
    "a list as key": (SMALL + "? [a]\n: b\n", "fleet.yaml:5: the key is not a word", "`key: value`"),
    "a tag": (SMALL.replace("name: prod", "name: !secret prod"), "fleet.yaml:2: name: the tag !secret", "remove the tag"),
    "merging a word": (SMALL + "<<: prod\n", "fleet.yaml:5: `<<` needs a mapping", "`<<: *name`"),
}  # fmt: skip

LONG = "x" * 300
FIELDS = {
    "no version": (SMALL.replace("version: 1\n", ""), "fleet.yaml:1: version: is missing", "add `version: …`"),
    "version 2": (SMALL.replace("version: 1", "version: 2"), "version 1, not `2`", "write `version: 1`"),
    "version in quotes": (SMALL.replace("version: 1", 'version: "1"'), "version: this program reads", "`version: 1`"),
    "version true": (SMALL.replace("version: 1", "version: true"), "version 1, not `true`", "`version: 1`"),
    "version 1.0": (SMALL.replace("version: 1", "version: 1.0"), "version 1, not `1.0`", "`version: 1`"),
    "no name": (SMALL.replace("name: prod\n", ""), "name: is missing", "add `name: …`"),
    "empty name": (SMALL.replace("name: prod", "name:"), "fleet.yaml:2: name: has no value", "remove the key"),
    "name of blanks": (SMALL.replace("name: prod", 'name: " "'), "name: ` ` is not a valid name", "use letters"),
    "name with a slash": (SMALL.replace("name: prod", "name: a/b"), "name: `a/b` is not a valid name", "use letters"),
    "long name": (SMALL.replace("name: prod", f"name: {LONG}"), "longer than 63 characters", "shorten it"),
    "number as name": (SMALL.replace("name: prod", "name: 12"), "name: must be text, not `12`", "in quotes"),
    "yes as name is fine, true not": (SMALL.replace("name: prod", "name: true"), "must be text, not true", "in quotes"),
    "no clusters": (SMALL.replace("clusters: [{subscription: prod-eu}]\n", ""), "clusters: is missing", "add `clusters"),
    "two places": (SMALL.replace("prod-eu}", "prod-eu, tenant: true}"), "fleet.yaml:3: clusters[0].tenant: `subscription` already says", "remove `tenant`"),
    "an id in a tenant": (SMALL.replace("subscription: prod-eu", f"id: {CLUSTER}, tenant: true"), "clusters[0].tenant: `id` already names one cluster", "remove `tenant` or `id`"),
    "no place": (SMALL.replace("subscription: prod-eu", "name: shop-01"), "fleet.yaml:3: clusters[0]: no subscription is named", "`management_group: <id>` or `tenant: true`"),
    "an exclusion of nothing": (SMALL + "exclude: [{}]\n", "fleet.yaml:5: exclude[0]: nothing is named", "add `name`"),
    "an exclusion of a tenant": (SMALL + "exclude: [{tenant: true}]\n", "fleet.yaml:5: exclude[0].tenant: unknown key", ""),
    "empty clusters": (SMALL.replace("[{subscription: prod-eu}]", "[]"), "fleet.yaml:3: clusters: is empty", "write"),
    "clusters without value": (SMALL.replace("[{subscription: prod-eu}]", ""), "clusters: has no value", "a list below"),
    "clusters is a word": (SMALL.replace("[{subscription: prod-eu}]", "all"), "must be a list, not the text `all`", "one line `- …`"),
    "clusters is a mapping": (SMALL.replace("[{subscription: prod-eu}]", "{subscription: a}"), "must be a list, not keys and values", "`- …`"),
    "a bare id": (SMALL.replace("{subscription: prod-eu}", CLUSTER), "clusters[0]: must be `key: value`", "write `id: /subscriptions"),
    "a bare word": (SMALL.replace("{subscription: prod-eu}", "prod-eu"), "not the text `prod-eu`", "id, subscription, resource_group"),
    "malformed id": (SMALL.replace("subscription: prod-eu", "id: /subscriptions/x"), "clusters[0].id: `/subscriptions/x` is not the id", "az aks show"),
    "id without GUID": (SMALL.replace("subscription: prod-eu", "id: " + CLUSTER.replace("3e8b1a70", "x")), "is not an id", "write a GUID"),
    "id and more": (SMALL.replace("subscription: prod-eu", f"id: {CLUSTER}, name: a"), "clusters[0].name: `id` already names one cluster", "remove `name`"),
    "no subscription": (SMALL.replace("subscription: prod-eu", "resource_group: a"), "clusters[0]: no subscription is named", "add `subscription"),
    "empty selector": (SMALL.replace("{subscription: prod-eu}", "{}"), "clusters[0]: no subscription is named", "add `subscription"),
    "misspelt subscription": (SMALL.replace("subscription:", "subscripton:"), "clusters[0].subscripton: unknown key", "did you mean `subscription`?"),
    "az's name": (SMALL.replace("subscription: prod-eu", "subscription: a, rg: b"), "clusters[0].rg: unknown key", "did you mean `resource_group`?"),
    "tag with a number": (SMALL.replace("subscription: prod-eu", "subscription: a, tags: {env: 1}"), "clusters[0].tags.env: must be text, not `1`", "in quotes"),
    "tags as a word": (SMALL.replace("subscription: prod-eu", "subscription: a, tags: env=prod"), "clusters[0].tags: must be `key: value`", "a name and its value"),
    "empty tags": (SMALL.replace("subscription: prod-eu", "subscription: a, tags: {}"), "clusters[0].tags: is empty", "remove the key"),
    "blanks around": (SMALL.replace("prod-eu", "' prod-eu'"), "clusters[0].subscription: has spaces around it", "without spaces"),
    "empty resource group": (SMALL.replace("prod-eu", "prod-eu, resource_group: "), "clusters[0].resource_group: has no value", "remove the key"),
    "empty prover": (SMALL + "prover:\n", "fleet.yaml:5: prover: has no value", "remove the key"),
    "an empty entry": (SMALL.replace("[{subscription: prod-eu}]", "\n  - "), "fleet.yaml:4: clusters[0]: has no value", "subscription"),
    "no target": (SMALL.replace("target: {admin_groups: [{name: aks-admins}]}\n", ""), "target: is missing", "add `target"),
    "empty target": (SMALL.replace("{admin_groups: [{name: aks-admins}]}", ""), "target: has no value", "admin_groups"),
    "target is a list": (SMALL.replace("{admin_groups: [{name: aks-admins}]}", "[]"), "target: must be `key: value`, not a list", "admin_groups"),
    "tenant is a name": (SMALL.replace("target: {", "target: {tenant_id: contoso.com, "), "target.tenant_id: `contoso.com` is not an id", "write a GUID"),
    "group is a word": (SMALL.replace("{name: aks-admins}", "aks-admins"), "target.admin_groups[0]: must be `key: value`", "id, name, create"),
    "group without name": (SMALL.replace("{name: aks-admins}", "{description: x}"), "admin_groups[0]: this group has neither `id` nor `name`", "add `id"),
    "group id no GUID": (SMALL.replace("{name: aks-admins}", "{id: aks-admins}"), "admin_groups[0].id: `aks-admins` is not an id", "write a GUID"),
    "id and name": (SMALL.replace("{name: aks-admins}", f"{{id: {GUID}, name: a}}"), "admin_groups[0].name: a group has an id or a name", "remove `name`"),
    "id and create": (SMALL.replace("{name: aks-admins}", f"{{id: {GUID}, create: true}}"), "admin_groups[0].create: a group with an id exists", "remove `create: true`"),
    "create without name": (SMALL.replace("{name: aks-admins}", "{create: true}"), "admin_groups[0]: a group to create needs a name", "add `name"),
    "create with a word": (SMALL.replace("aks-admins}", "aks-admins, create: yes}"), "admin_groups[0].create: must be true or false, not the text `yes`", "write `create: true`"),
    "unnameable group": (SMALL.replace("aks-admins}", "管理者, create: true}"), "no uniqueName can be made", "add `unique_name"),
    "bad uniqueName": (SMALL.replace("aks-admins}", "a, create: true, unique_name: a b}"), "unique_name: `a b` is not a valid uniqueName", "use letters"),
    "members without create": (SMALL.replace("aks-admins}", "a, members: [a@b.com]}"), "admin_groups[0].members: this key is only for a group to create", "add `create: true`"),
    "owners without create": (SMALL.replace("aks-admins}", "a, owners: [a@b.com]}"), "admin_groups[0].owners: this key is only for a group to create", "add `create: true`"),
    "member is a name": (SMALL.replace("aks-admins}", "a, create: true, members: [dana]}"), "members[0]: `dana` is neither", "dana@contoso.com"),
    "too many members": (SMALL.replace("aks-admins}", f"a, create: true, members: [{', '.join(['a@b.com'] * 20)}]}}"), "members: has more than 19", "add the others in Microsoft Entra ID"),
    "a rule that is none": (SMALL + "skip_rules: [{rule: none, reason: x}]\n", "fleet.yaml:5: skip_rules[0].rule: `none` is not a rule id", "such as W127"),
    "an unknown rule": (SMALL + "skip_rules: [{rule: W999, reason: x}]\n", "skip_rules[0].rule: there is no rule W999", "preflight.md"),
    "a rule that keeps a way in": (SMALL + "skip_rules: [{rule: B009, reason: x}]\n", "skip_rules[0].rule: B009 cannot be skipped: it keeps a way in open", "preflight.md"),
    "a rule that informs": (SMALL + "skip_rules: [{rule: I118, reason: x}]\n", "I118 cannot be skipped: it is only information", "preflight.md"),
    "a skip without reason": (SMALL + "skip_rules: [{rule: W127}]\n", "skip_rules[0].reason: is missing", "add `reason"),
    "a rule skipped twice": (SMALL + "skip_rules: [{rule: W127, reason: x}, {rule: W127, reason: y}]\n", "skip_rules[1].rule: this rule is listed twice", "remove one of the two"),
    "group twice": (SMALL.replace("[{name: aks-admins}]", "[{name: a}, {name: a}]"), "admin_groups[1]: this group is listed twice", "remove one"),
    "ARM's key": (SMALL.replace("target: {", "target: {adminGroupObjectIDs: [], "), "target.adminGroupObjectIDs: unknown key", "did you mean `admin_groups`?"),
    "ARM's flag": (SMALL.replace("target: {", "target: {disableLocalAccounts: true, "), "target.disableLocalAccounts: unknown key", "did you mean `local_accounts`?"),
    "accounts false": (SMALL.replace("target: {", "target: {local_accounts: false, "), "target.local_accounts: false is not a valid value", "did you mean `local_accounts: off`?"),
    "kept open": (SMALL.replace("target: {", "target: {local_accounts: keep, keep: deny, "), "target.keep: only local accounts that are off can be kept off", "remove `keep`, or set `local_accounts: off`"),
    "kept otherwise": (SMALL.replace("target: {", "target: {keep: audit, "), "target.keep: the text `audit` is not", "deny"),
    "accounts on": (SMALL.replace("target: {", "target: {local_accounts: on, "), "target.local_accounts: the text `on` is not", "off or keep"),
    "RBAC true": (SMALL.replace("target: {", "target: {azure_rbac: true, "), "target.azure_rbac: true is not a valid value", "did you mean `azure_rbac: on`?"),
    "rotation misspelt": (SMALL.replace("target: {", "target: {rotation: at_once, "), "target.rotation: the text `at_once` is not", "did you mean `rotation: at-once`?"),
    "rotation empty": (SMALL.replace("target: {", "target: {rotation: , "), "target.rotation: this value is not", "at-once or later"),
    "rollout's key at the top": (SMALL + "approvers: {}\n", "fleet.yaml:5: approvers: unknown key", "belongs under `rollout`"),
    "target's key at the top": (SMALL + "local_accounts: off\n", "fleet.yaml:5: local_accounts: unknown key", "belongs under `target`"),
    "nonsense at the top": (SMALL + "zzz: 1\n", "fleet.yaml:5: zzz: unknown key", "remove it, or use one of version"),
    "prover incomplete": (SMALL + f"prover: {{client_id: {GUID}, tenant_id: {GUID}}}\n", "prover: nothing says how the prover signs in", "add one of client_secret_env"),
    "prover with two credentials": (SMALL + f"prover: {{client_id: {GUID}, tenant_id: {GUID}, client_secret_env: A, federated_token_file: /token}}\n", "prover.federated_token_file: the prover already has a credential", "remove `federated_token_file` or `client_secret_env`"),
    "prover without a tenant": (SMALL + f"prover: {{client_id: {GUID}, federated_token_file: /token}}\n", "prover.tenant_id: is missing", "add `tenant_id"),
    "prover of a group": (SMALL + ROLLOUT.replace("rest: true", "rest: true, prover: {client_id: hunter2, managed_identity: true}"), "groups[0].prover.client_id: is not an id", "write a GUID"),
    "group of two provers": (SMALL.replace("aks-admins}", "a, create: true}") + ROLLOUT.replace("rest: true", "rest: true, prover: {managed_identity: true}"), "admin_groups[0].create: a group to create gets one prover", "create it first"),
    "no work queue": (SMALL + ROLLOUT.replace("rest: true", "rest: true, work_queue: a b"), "groups[0].work_queue: `a b` is not the name of a work queue", "such as spoke-weu"),
    "secret as variable": (SMALL + f"prover: {{client_id: {GUID}, tenant_id: {GUID}, client_secret_env: hun~ter.2}}\n", "client_secret_env: is not the name of an environment variable", "never write the secret itself"),
    "secret in the file": (SMALL + f"prover: {{client_id: {GUID}, tenant_id: {GUID}, client_secret: hunter2}}\n", "prover.client_secret: unknown key", "did you mean `client_secret_env`?"),
    "prover no GUID": (SMALL + f"prover: {{client_id: hunter2, tenant_id: {GUID}, client_secret_env: A}}\n", "prover.client_id: is not an id", "write a GUID"),
    "prover's id a number": (SMALL + f"prover: {{client_id: 42, tenant_id: {GUID}, client_secret_env: A}}\n", "prover.client_id: must be text, not this value", "in quotes"),
    "no stages": (SMALL + "rollout: {}\n", "rollout.stages: is missing", "add `stages"),
    "empty stages": (SMALL + "rollout: {stages: []}\n", "rollout.stages: is empty", "write a value"),
    "stage without groups": (SMALL + "rollout: {stages: [{name: one}]}\n", "rollout.stages[0].groups: is missing", "The clusters of the stage"),
    "group takes nothing": (SMALL + ROLLOUT.replace(", rest: true", ""), "stages[0].groups[0]: this group selects no cluster", "rest: true"),
    "rest false only": (SMALL + ROLLOUT.replace("true", "false"), "this group selects no cluster", "add `clusters`"),
    "rest as a word": (SMALL + ROLLOUT.replace("true", "all"), "rest: must be true or false", "write `rest: true`"),
    "two rests": (SMALL + ROLLOUT.replace("]}]}", "]}, {name: two, groups: [{name: b, rest: true}]}]}"), "stages[1].groups[0].rest: another group already takes the rest", "keep `rest: true` in only one"),
    "stage twice": (SMALL + ROLLOUT.replace("]}]}", "]}, {name: ONE, groups: [{name: b, clusters: [x]}]}]}"), "stages[1].name: another stage has this name", "its own name"),
    "group name twice": (SMALL + ROLLOUT.replace("}]}]}", "}, {name: A, clusters: [x]}]}]}"), "groups[1].name: another group of the stage has this name", "its own name"),
    "cluster twice": (SMALL + ROLLOUT.replace("rest: true", "clusters: [x, X]"), "clusters[1]: X is already in an earlier group", "list each cluster once"),
    "no concurrency": (SMALL + ROLLOUT.replace("name: one", "name: one, max_concurrency: 0"), "max_concurrency: 0 is too small", "1 or more"),
    "much concurrency": (SMALL + ROLLOUT.replace("name: one", "name: one, max_concurrency: 1001"), "max_concurrency: 1001 is too large", "1000 or less"),
    "concurrency as text": (SMALL + ROLLOUT.replace("name: one", 'name: one, max_concurrency: "2"'), "must be a whole number, not the text `2`", "max_concurrency: 5"),
    "concurrency 1.5": (SMALL + ROLLOUT.replace("name: one", "name: one, max_concurrency: 1.5"), "must be a whole number, not `1.5`", "max_concurrency: 5"),
    "concurrency true": (SMALL + ROLLOUT.replace("name: one", "name: one, max_concurrency: true"), "must be a whole number, not true", "max_concurrency: 5"),
    "negative failures": (SMALL + ROLLOUT.replace("name: one", "name: one, max_allowed_failures: -1"), "max_allowed_failures: -1 is too small", "0 or more"),
    "gate as text": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: on"), "gate_before: must be true or false", "gate_before: false"),
    "gate empty": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: "), "gate_before: must be true or false", "gate_before: true"),
    "gate waits for a number": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {quiet: 7}"), "gate_before.quiet: `7` has no unit", "45m, 2h, 7d"),
    "gate waits for a word": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {wait: later}"), "gate_before.wait: `later` is not a duration", "45m, 2h, 7d"),
    "gate waits for years": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {wait: 366d}"), "gate_before.wait: `366d` is longer than a year", "365d or less"),
    "gate of an unknown kind": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {windows: 1}"), "gate_before.windows: unknown key", "did you mean `window`?"),
    "not before some day": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {not_before: 2026-12-01}"), "is not a time with an offset", "2026-12-01T22:00Z"),
    "not before without an offset": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {not_before: 2026-12-01T22:00}"), "is not a time with an offset", "2026-12-01T22:00Z"),
    "window without an end": (SMALL + ROLLOUT.replace("name: one", 'name: one, gate_before: {window: {start: "02:00"}}'), "gate_before.window.end: is missing", "add `end: …`"),
    "window of no time": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {start: 02:00, end: 02:00}}"), "the window closes when it opens", "another `end`"),
    "window at 25 o'clock": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {start: 25:00, end: 02:00}}"), "window.start: `25:00` is not a time of day", '"02:00"'),
    "window on Caturday": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {days: [cat], start: 01:00, end: 02:00}}"), "days[0]: `cat` is not a day of the week", "mon, tue"),
    "window on one day twice": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {days: [sat, Saturday], start: 01:00, end: 02:00}}"), "days[1]: this day is listed already", "list each day once"),
    "window on the moon": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {timezone: Moon/Tycho, start: 01:00, end: 02:00}}"), "timezone: `Moon/Tycho` is not a time zone", "Europe/Amsterdam"),
    "window in a folder of zones": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {window: {timezone: Europe, start: 01:00, end: 02:00}}"), "timezone: `Europe` is not a time zone", "Europe/Amsterdam"),
    "approval as a word": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {approval: dana}"), "gate_before.approval: must be true or false", "approval: true"),
    "approval for ever": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {approval: {expires_after: never}}"), "expires_after: `never` is not a duration", "45m"),
    "approvers without a group": (SMALL + SIGNED.replace(f"groups: [{GUID}]", "groups: []"), "rollout.approvers.groups: is empty", "write a value"),
    "approvers by name": (SMALL + SIGNED.replace(f"groups: [{GUID}]", "groups: [cab]"), "approvers.groups[0]: `cab` is not an id", "write a GUID"),
    "approvers of no application": (SMALL + SIGNED.replace(f"client_id: {GUID}, ", ""), "approvers.client_id: is missing", "add `client_id: …`"),
    "approvers twice": (SMALL + SIGNED.replace(f"[{GUID}]", f"[{GUID}, {GUID}]"), "approvers.groups[1]: this group is listed twice", "remove one"),
    "nobody signs": (SMALL + SIGNED.replace("groups:", "at_least: 0, groups:", 1), "approvers.at_least: 0 is too small", "1 or more"),
    "a sign-in that signs for days": (SMALL + SIGNED.replace("groups:", "sign_in_expires_after: 2d, groups:", 1), "approvers.sign_in_expires_after: a sign-in cannot sign for 2d", "write 5m to 24h"),
    "not somebody": (SMALL + SIGNED.replace("not: requester", "not: dana"), "approvers.not: the text `dana` is not a valid value", "write requester"),
    "not, misspelt": (SMALL + SIGNED.replace("not:", "nots:"), "approvers.nots: unknown key", "did you mean `not`?"),
    "approvers of a gate that asks nobody": (SMALL + ROLLOUT.replace("name: one", "name: one, gate_before: {approval: {required: false, " + APPROVERS + "}}"), "approval.approvers: nobody is asked", "remove `approvers`"),
    "batches of none": (SMALL + ROLLOUT.replace("name: one", "name: one, batch_size: 0"), "batch_size: 0 is too small", "1 or more"),
    "no ticket at all": (SMALL + ROLLOUT.replace("{stages:", "{change_ticket: never, stages:"), "change_ticket: the text `never` is not a valid value", "optional or required"),
    "Fleet Manager's key": (SMALL + ROLLOUT.replace("name: one", "name: one, maxConcurrency: 1"), "maxConcurrency: unknown key", "did you mean `max_concurrency`?"),
    "group's members": (SMALL + ROLLOUT.replace("rest: true", "members: [x], rest: true"), "groups[0].members: unknown key", "did you mean `clusters`?"),
}  # fmt: skip


def refused(text: str) -> str:
    with pytest.raises(Refused) as caught:
        parse_fleet_file(text, "fleet.yaml")
    return str(caught.value)


@pytest.mark.parametrize("case", [*SYNTAX, *FIELDS])
def test_each_problem_is_one_error_with_a_remedy(case: str) -> None:
    text, message, remedy = (SYNTAX | FIELDS)[case]

    error = refused(text)

    assert message in error
    first, arrow, last = error.partition("\n  → ")
    assert arrow, error
    assert remedy in last, error
    assert first.startswith("fleet.yaml:")
    assert "\n" not in first
    assert "\n" not in last


@pytest.mark.parametrize("case", FIELDS)
def test_values_under_prover_are_never_repeated(case: str) -> None:
    error = refused(FIELDS[case][0])

    assert "hunter2" not in error
    assert "hun~ter" not in error
    assert "42" not in error


def test_all_problems_are_shown_at_once_in_the_order_of_lines() -> None:
    text = (
        "version: 1\n"
        "name: prod\n"
        "name: prod2\n"
        "clusters:\n"
        "  - subscription: prod-eu\n"
        "  - {id: nonsense}\n"
        "target:\n"
        "  admin_groups: [{}, {name: a, members: [b@c.de], owners: [b@c.de]}]\n"
        "  azure_rbac: true\n"
    )

    assert refused(text).splitlines() == [
        "fleet.yaml: 6 problems",
        "  fleet.yaml:3: name: is written twice (first on line 2)",
        "    → remove one of the two",
        "  fleet.yaml:6: clusters[1].id: `nonsense` is not the id of a managed cluster",
        "    → write /subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.ContainerService/managedClusters/<name>, as `az aks show --query id` prints it",
        "  fleet.yaml:8: target.admin_groups[0]: this group has neither `id` nor `name`",
        "    → add `id: <object id>` or `name: <group>`",
        "  fleet.yaml:8: target.admin_groups[1].members: this key is only for a group to create: existing groups are never changed",
        "    → add `create: true`, or remove `members`",
        "  fleet.yaml:8: target.admin_groups[1].owners: this key is only for a group to create: existing groups are never changed",
        "    → add `create: true`, or remove `owners`",
        "  fleet.yaml:9: target.azure_rbac: true is not a valid value",
        "    → did you mean `azure_rbac: on`? Valid values are keep, on or off",
    ]


def test_an_anchor_that_is_used_too_often_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    assert "uses anchors too often" in refused("\n".join(lines))


def test_a_long_wrong_value_is_cut() -> None:
    error = refused(SMALL.replace("name: aks-admins", f"id: {LONG}"))

    assert f"`{LONG[:60]}…`" in error
    assert LONG not in error
