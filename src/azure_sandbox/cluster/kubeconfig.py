"""Kubeconfigs as ARM returns them, line by line as recorded.

Static: client certificate, key and token. Entra: the exec plugin `kubelogin`, or the old `azure` provider.
"""

from __future__ import annotations

from base64 import b64encode

from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.cluster.regime import CLIENT_APP, SERVER_APP, Regime

_FRAME = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://{fqdn}:443
  name: {cluster}
contexts:
- context:
    cluster: {cluster}
    user: {user}
  name: {cluster}
current-context: {cluster}
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
{access}"""
_STATIC = """\
    client-certificate-data: {certificate}
    client-key-data: {key}
    token: {token}
"""
_EXEC = """\
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - get-token
      - --environment
      - AzurePublicCloud
      - --server-id
      - {server}
      - --client-id
      - {client}
      - --tenant-id
      - {tenant}
      - --login
      - devicecode
{legacy}      command: kubelogin
      env: null
      installHint: |2

        kubelogin is not installed which is required to connect to AAD enabled cluster.

        To learn more, please go to https://aka.ms/aks/kubelogin
      provideClusterInfo: false
"""
_AZURE = """\
    auth-provider:
      config:
        apiserver-id: {server}
        client-id: {client}
        config-mode: "{mode}"
        environment: AzurePublicCloud
        tenant-id: {tenant}
      name: azure
"""


def _frame(generation: Generation, fqdn: str, cluster: str, user: str, access: str) -> str:
    authority = b64encode(generation.authority.certificate_pem).decode()
    return _FRAME.format(authority=authority, fqdn=fqdn, cluster=cluster, user=user, access=access)


def static(generation: Generation, fqdn: str, cluster: str, user: str) -> str:
    """Return the admin kubeconfig, whose credentials are cluster-admin."""
    access = _STATIC.format(
        certificate=b64encode(generation.admin.certificate_pem).decode(),
        key=b64encode(generation.admin.key_pem).decode(),
        token=generation.token,
    )
    return _frame(generation, fqdn, cluster, user, access)


def entra(generation: Generation, fqdn: str, cluster: str, user: str, regime: Regime, form: str) -> str:
    """Return the kubeconfig for Entra sign-in, which holds no secret. `form` is `exec` or `azure`."""
    legacy = regime.identity == "legacy"
    access = (_EXEC if form == "exec" else _AZURE).format(
        server=regime.legacy_server_app if legacy else SERVER_APP,
        client=regime.legacy_client_app if legacy else CLIENT_APP,
        tenant=regime.tenant,
        mode=0 if legacy else 1,
        legacy="      - --legacy\n" if legacy else "",
    )
    return _frame(generation, fqdn, cluster, user, access)
