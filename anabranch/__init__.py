"""The public face of Anabranch: all that a plug-in with node kinds of its own imports."""

from domain.errors import NodeFault
from domain.kinds import (
    FILTER_FIELD,
    JSON_FIELD,
    SECRET_CAPABLE,
    STATIC,
    Config,
    ConfigProblem,
    ErrorCode,
    NameValue,
    NodeContext,
    NodeKind,
    OneOf,
    Output,
    Reference,
    Result,
)
from domain.ports.outbound import Credential, OutboundRequest
from domain.run import DeltaChannel, Usage

__all__ = [
    "FILTER_FIELD",
    "JSON_FIELD",
    "SECRET_CAPABLE",
    "STATIC",
    "Config",
    "ConfigProblem",
    "Credential",
    "DeltaChannel",
    "ErrorCode",
    "NameValue",
    "NodeContext",
    "NodeFault",
    "NodeKind",
    "OneOf",
    "OutboundRequest",
    "Output",
    "Reference",
    "Result",
    "Usage",
]
