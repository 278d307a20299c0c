"""What may be set about a run, besides the fleet file: `AKS_ENTRA_*` in the environment. Times are in seconds."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every field is an environment variable: `poll_interval` is AKS_ENTRA_POLL_INTERVAL. No secret is among them."""

    model_config = SettingsConfigDict(env_prefix="AKS_ENTRA_", frozen=True, extra="ignore")

    evidence_dir: Path = Field(default=Path("evidence"), description="where reports are written")

    allow_ungated: bool = Field(
        default=False, description="of a worker: whether stages whose gate asks nobody (`gate_before: false`) may begin"
    )
    approvers: str = Field(
        default="",
        description="of a worker: `tenant id/client id/group id`, several with commas: who approves what it begins",
    )
    access_approvers: str = Field(
        default="",
        description="of a worker: who approves access and Conditional Access policies; of a machine: break-glass. "
        "Default: those of `approvers`",
    )

    sign_in_application: str = Field(
        default="",
        description="`tenant id/client id`: where people sign approvals that nobody requires (`approve --sign`). "
        "Workers take no other for proven",
    )

    entra_keys: str = Field(
        default="",
        description="a file with the keys with which Entra signs, as its `discovery/v2.0/keys` answers. Signed "
        "approvals are checked against it alone. Default: they are read from Entra",
    )

    records: str = Field(
        default="",
        description="where records outlive Prefect's database: a folder, or az://ACCOUNT/CONTAINER[/PREFIX]",
    )

    poll_interval: float = Field(
        default=30.0, gt=0, description="between two lists of a subscription, while operations run in it"
    )
    operation_limit: float = Field(default=7200.0, gt=0, description="how long one operation of Azure is followed")

    look_interval: float = Field(default=10.0, gt=0, description="between two looks at a cluster that is waited for")
    sign_in_limit: float = Field(default=900.0, gt=0, description="until a fresh token must get in with its groups")
    refusal_limit: float = Field(default=300.0, gt=0, description="until Azure must refuse admin credentials")
    credential_limit: float = Field(default=300.0, gt=0, description="until a held credential must get an answer")
    settle_limit: float = Field(default=1200.0, gt=0, description="until nodes and workloads must be back")
    policy_limit: float = Field(
        default=2100.0, gt=0, description="until Azure must follow a policy exemption (Azure Policy: up to 30 minutes)"
    )
    activity_log_delay: float = Field(
        default=1200.0, ge=0, description="until Azure's activity log has every entry (Azure Monitor: up to 20 minutes)"
    )
    verify_limit: float = Field(default=60.0, gt=0, description="one look of the verifier, throttling included")
    step_limit: float = Field(default=7200.0, gt=0, description="one step altogether, throttling included")

    connect_timeout: float = Field(default=10.0, gt=0, description="for a connection with Azure or Graph")
    request_timeout: float = Field(default=100.0, gt=0, description="for an answer of Azure or Graph")
    api_server_timeout: float = Field(default=20.0, gt=0, description="for an answer of a cluster's API server")

    egress_address: str = Field(
        default="", description="the IP address with which this machine reaches the internet, if it is always the same"
    )

    request_rate: float = Field(
        default=1.0, gt=0, description="requests to ARM: how many times its published limits, which are never exceeded"
    )

    tool_limit: float = Field(
        default=20.0, gt=0, description="for one answer of a tool here, or of a host to the doctor"
    )
    grant_limit: float = Field(default=600.0, gt=0, description="until a grant must be seen, and its end too")

    group_reads: int = Field(default=5, ge=1, description="good reads in a row before a new group counts")
    group_read_gap: float = Field(default=1.0, ge=0, description="between those reads")
