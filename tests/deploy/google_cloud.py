"""A server on loopback that Google's real clients talk to: the Data Transfer Service and Cloud Monitoring over gRPC.

It keeps what it is given, answers as the API references say, and remembers every request. `fail` makes a call fail with
a status and an ErrorInfo, as Google's services do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.bigquery_datatransfer_v1 import types as transfers
from google.cloud.monitoring_v3 import types as monitoring
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

TRANSFERS = "google.cloud.bigquery.datatransfer.v1.DataTransferService"
ALERTS = "google.monitoring.v3.AlertPolicyService"


@dataclass
class Fault:
    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]


@dataclass
class GoogleCloud:
    """`schedules` and `alarms` are by their names; `calls` are (method, request), looking up left out."""

    address: str = ""
    owner: str = "deployer@example.com"
    schedules: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)

    def fail(self, method: str, code: grpc.StatusCode, message: str, reason: str = "", **metadata: str) -> None:
        """Until `faults` is cleared."""
        self.faults[method] = Fault(code, message, reason, metadata)

    def asked(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name == method]

    def list_transfer_configs(self, request: Any) -> Any:
        found = [
            transfers.TransferConfig(config, owner_info=None)  # says the reference: «only for get requests»
            for config in self.schedules.values()
            if self.parents[config.name] == request.parent and config.data_source_id in request.data_source_ids
        ]
        return transfers.ListTransferConfigsResponse(transfer_configs=found)

    def get_transfer_config(self, request: Any) -> Any:
        return self.schedules[request.name]

    def create_transfer_config(self, request: Any) -> Any:
        made = transfers.TransferConfig(request.transfer_config)
        made.name = f"projects/4711/locations/europe/transferConfigs/{len(self.schedules) + 1:08x}"  # not the parent's
        self.parents[made.name] = request.parent
        made.owner_info = transfers.UserInfo(email=request.service_account_name or self.owner)
        self.schedules[made.name] = made
        return made

    def update_transfer_config(self, request: Any) -> Any:
        there = self.schedules[request.transfer_config.name]
        for path in request.update_mask.paths:
            if path == "service_account_name":
                there.owner_info = transfers.UserInfo(email=request.service_account_name)
            else:
                setattr(there, path, getattr(request.transfer_config, path))
        return there

    def list_alert_policies(self, request: Any) -> Any:
        found = [
            policy for policy in self.alarms.values() if request.filter == f'display_name = "{policy.display_name}"'
        ]
        return monitoring.ListAlertPoliciesResponse(alert_policies=found)

    def create_alert_policy(self, request: Any) -> Any:
        made = monitoring.AlertPolicy(request.alert_policy)
        made.name = f"{request.name}/alertPolicies/{len(self.alarms) + 1}"
        self.alarms[made.name] = made
        return made

    def update_alert_policy(self, request: Any) -> Any:
        there = self.alarms[request.alert_policy.name]
        for path in request.update_mask.paths:
            setattr(there, path, getattr(request.alert_policy, path))
        return there


METHODS: dict[str, tuple[Any, Any, Callable[[GoogleCloud, Any], Any]]] = {
    f"/{TRANSFERS}/ListTransferConfigs": (
        transfers.ListTransferConfigsRequest,
        transfers.ListTransferConfigsResponse,
        GoogleCloud.list_transfer_configs,
    ),
    f"/{TRANSFERS}/GetTransferConfig": (
        transfers.GetTransferConfigRequest,
        transfers.TransferConfig,
        GoogleCloud.get_transfer_config,
    ),
    f"/{TRANSFERS}/CreateTransferConfig": (
        transfers.CreateTransferConfigRequest,
        transfers.TransferConfig,
        GoogleCloud.create_transfer_config,
    ),
    f"/{TRANSFERS}/UpdateTransferConfig": (
        transfers.UpdateTransferConfigRequest,
        transfers.TransferConfig,
        GoogleCloud.update_transfer_config,
    ),
    f"/{ALERTS}/ListAlertPolicies": (
        monitoring.ListAlertPoliciesRequest,
        monitoring.ListAlertPoliciesResponse,
        GoogleCloud.list_alert_policies,
    ),
    f"/{ALERTS}/CreateAlertPolicy": (
        monitoring.CreateAlertPolicyRequest,
        monitoring.AlertPolicy,
        GoogleCloud.create_alert_policy,
    ),
    f"/{ALERTS}/UpdateAlertPolicy": (
        monitoring.UpdateAlertPolicyRequest,
        monitoring.AlertPolicy,
        GoogleCloud.update_alert_policy,
    ),
}


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, cloud: GoogleCloud) -> None:
        self.cloud = cloud

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        if path not in METHODS:
            return None
        asked, answered, answer = METHODS[path]
        method = path.rpartition("/")[2]

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            if method in self.cloud.faults:
                _abort(context, self.cloud.faults[method])
            if not method.startswith(("List", "Get")):
                self.cloud.calls.append((method, request))
            return answer(self.cloud, request)

        return grpc.unary_unary_rpc_method_handler(call, asked.deserialize, answered.serialize)


def _abort(context: grpc.ServicerContext, fault: Fault) -> None:
    details = []
    if fault.reason:
        info = AnyMessage()
        info.Pack(ErrorInfo(reason=fault.reason, domain="googleapis.com", metadata=fault.metadata))
        details.append(info)
    status = Status(code=fault.code.value[0], message=fault.message, details=details)
    context.abort_with_status(rpc_status.to_status(status))


@contextmanager
def google_cloud() -> Iterator[GoogleCloud]:
    """One server for both services, until the end of the block."""
    cloud = GoogleCloud()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Handlers(cloud)])
    cloud.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield cloud
    finally:
        server.stop(grace=None).wait()
