"""Which recipe a caller gets, and that each recipe is a section of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aks_entra.core.preflight.audit_callers import Holds
from aks_entra.core.rollout.caller_recipes import RECIPES, recipe_of
from tests.support.audit_logs import caller
from tests.support.rollouts import FIRST

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "move-callers.md"
OUTSIDE = {"holds": Holds.SERVICE_ACCOUNT, "username": "system:serviceaccount:ci:deployer"}


@pytest.mark.parametrize(
    ("how", "title"),
    [
        ({"user_agent": "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format"}, "Argo CD"),
        ({"user_agent": "kustomize-controller/v0.0.0 (linux/amd64) kubernetes/$Format"}, "Flux"),
        ({"user_agent": "helm-controller/v0.0.0 (linux/amd64) kubernetes/$Format"}, "Flux"),
        ({"user_agent": "HashiCorp/1.0 Terraform/1.9.5"}, "Terraform"),
        ({"user_agent": "terraform-provider-helm_v3.0.2_x5 (linux/amd64) kubernetes/$Format"}, "Terraform"),
        ({"user_agent": "rancher/v0.0.0 (linux/amd64) kubernetes/$Format"}, "Rancher"),
        ({"user_agent": "Go-http-client/2.0", "username": "azure-devops"}, "Azure Pipelines"),
        ({"user_agent": "actions-runner/2.3"}, "GitHub Actions"),
        ({"user_agent": "kubectl/v1.33.1", "username": "github-ci"}, "kubectl"),
        ({"user_agent": "Helm/3.14.0"}, "helm"),
        ({"user_agent": "aks-entra/0.1.0"}, "aks-entra itself"),
        ({"user_agent": "kubectl/v1.33.1 (linux/amd64) kubernetes/abc"}, "kubectl"),
        ({"user_agent": "k9s/v0.32"}, "kubectl"),
        ({"user_agent": "python-requests/2", **OUTSIDE}, "A service account from outside"),
        ({"user_agent": "HashiCorp/1.0 Terraform/1.9.5", **OUTSIDE}, "Terraform"),
        ({"user_agent": ""}, "An unknown program"),
        ({"user_agent": "glensd/1"}, "An unknown program"),
    ],
)
def test_a_caller_gets_the_recipe_of_its_program(how: dict[str, Any], title: str) -> None:
    assert recipe_of(caller(**how)).title == title


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.title)
def test_each_recipe_names_the_cluster_and_is_a_section_of_the_page(recipe: Any) -> None:
    line = recipe.move_for(FIRST)
    assert "{group}" not in line
    assert "{name}" not in line
    assert "\n" not in line
    assert f"\n## {recipe.title}\n" in PAGE.read_text(encoding="utf-8")


def test_a_recipe_has_the_names_of_the_cluster_and_a_link() -> None:
    recipe = recipe_of(caller(user_agent="kubectl/v1.33.1"))
    assert f"-g {FIRST.resource_group} -n {FIRST.name} && kubelogin convert-kubeconfig" in recipe.move_for(FIRST)
    titles = {one.title: one.anchor for one in RECIPES}
    assert titles["Argo CD"] == "docs/how-to/move-callers.md#argo-cd"
    assert titles["A service account from outside"].endswith("#a-service-account-from-outside")
