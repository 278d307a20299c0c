"""The file of a Conditional Access policy. The flow apply_conditional_access takes the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aks_entra.access.conditional_access import PolicyRequest
from aks_entra.core.access.conditional_access import Control
from aks_entra.core.storable import canonical
from aks_entra.errors import Refused

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"\S")]


class PolicyFile(BaseModel):
    """A policy for sign-ins at AKS clusters: whom it is for, what it asks, and who is left alone, always."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Name
    """Display name of the policy."""
    groups: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50)]
    """Groups (name or object id) that it is for: the clusters' admin groups."""
    require: Annotated[tuple[Control, ...], Field(min_length=1, max_length=4)]
    """What a sign-in must meet: mfa, compliantDevice, domainJoinedDevice; or block."""
    break_glass: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    """Emergency accounts or groups that it never reaches. Without one it is refused."""
    operator: Literal["AND", "OR"] = "AND"
    """Whether all, or one, of what it asks must be met."""
    trusted_locations: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    """Ids of named locations from which it asks nothing; AllTrusted for all of them."""

    @property
    def text(self) -> str:
        """The whole policy: JSON with sorted keys. An approval names its digest."""
        return canonical({"kind": "aks-entra/conditional-access-policy", **self.model_dump(mode="json")})

    def to_request(self) -> PolicyRequest:
        """Return the request for the engine."""
        return PolicyRequest(
            name=self.name,
            groups=self.groups,
            controls=self.require,
            break_glass=self.break_glass,
            operator=self.operator,
            trusted_locations=self.trusted_locations,
        )


def load_policy_file(path: Path) -> PolicyFile:
    """Read and check a policy's YAML file. Raises Refused that names each field."""
    try:
        return PolicyFile.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise Refused(
            f"{path}: {error.strerror}", remedy="name a file with name, groups, require, break_glass"
        ) from None
    except (YAMLError, UnicodeDecodeError):
        raise Refused(f"{path}: not YAML", remedy="write name, groups, require and break_glass") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        raise Refused(f"{path}: {wrong}", remedy="docs/how-to/access.md shows a complete file") from None
