"""Pub/Sub: clients, names, and the topic and subscription themselves.

The only module that imports the Pub/Sub client. It speaks to the service's own RPCs (`google.pubsub_v1`), not through
`pubsub_v1.PublisherClient.publish`, whose one-row-a-message batching is eight times slower and whose queue has no bound
in bytes. Source: Pub/Sub API reference, `google.pubsub.v1.Publisher` and `Subscriber`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError, LtvError, TopicRefused, TopicUnavailable
from schemas.event import Message

if TYPE_CHECKING:
    from google.pubsub_v1 import PublisherClient, SubscriberClient

RPC_TIMEOUT_S = 30.0
PULL_TIMEOUT_S = 5.0
ACK_DEADLINE_S = 10
"""Of a subscription made for the emulator: the pipeline extends its leases itself, so what a killed one held comes
again after ten seconds."""

IDS_PER_REQUEST = 1_000

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


def emulator() -> str | None:
    """host:port of the emulator, where PUBSUB_EMULATOR_HOST names one."""
    return os.environ.get("PUBSUB_EMULATOR_HOST") or None


def topic_path(project: str, topic: str) -> str:
    return f"projects/{project}/topics/{topic}"


def subscription_path(project: str, subscription: str) -> str:
    return f"projects/{project}/subscriptions/{subscription}"


def publisher() -> PublisherClient:
    """A client of the Publisher service, of the emulator where one is named. Raises ConfigError without credentials."""
    from google.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    host = emulator()
    if host is None:
        return PublisherClient(transport=PublisherGrpcTransport(channel=_secure_channel(PublisherGrpcTransport)))
    return PublisherClient(transport=PublisherGrpcTransport(channel=_emulator_channel(host)))


def subscriber() -> SubscriberClient:
    """A client of the Subscriber service, as `publisher`. Its channel takes responses of any size: the library's own
    emulator channel stops at 4 MB and then no message ever arrives."""
    from google.pubsub_v1 import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    host = emulator()
    if host is None:
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=_secure_channel(SubscriberGrpcTransport)))
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=_emulator_channel(host)))


def _emulator_channel(host: str) -> Any:
    import grpc

    return grpc.insecure_channel(host, options=CHANNEL_OPTIONS)


def _secure_channel(transport: Any) -> Any:
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return transport.create_channel(options=CHANNEL_OPTIONS)
    except DefaultCredentialsError as error:
        raise ConfigError(
            ["no Google Cloud credentials were found"],
            source="Pub/Sub",
            hint="run `gcloud auth application-default login`, or set PUBSUB_EMULATOR_HOST for the emulator",
        ) from error


def ensure(project: str, topic: str, subscription: str) -> None:
    """With the emulator: creates topic and subscription where missing, before anything is published.

    In production they are created when the system is deployed; there a missing one raises TopicRefused.
    """
    if emulator() is None:
        require(project, topic, subscription)
        return
    from google.api_core.exceptions import AlreadyExists

    publishing, subscribing = publisher(), subscriber()
    try:
        with contextlib.suppress(AlreadyExists):
            publishing.create_topic(name=topic_path(project, topic), timeout=RPC_TIMEOUT_S)
        with contextlib.suppress(AlreadyExists):
            subscribing.create_subscription(
                request={
                    "name": subscription_path(project, subscription),
                    "topic": topic_path(project, topic),
                    "ack_deadline_seconds": ACK_DEADLINE_S,
                },
                timeout=RPC_TIMEOUT_S,
            )
    except Exception as error:
        raise topic_error(error, "creating topic and subscription") from error
    finally:
        publishing.transport.close()
        subscribing.transport.close()


def require(project: str, topic: str, subscription: str) -> None:
    """Raises TopicRefused where the topic or the subscription is missing."""
    publishing, subscribing = publisher(), subscriber()
    try:
        publishing.get_topic(topic=topic_path(project, topic), timeout=RPC_TIMEOUT_S)
        subscribing.get_subscription(subscription=subscription_path(project, subscription), timeout=RPC_TIMEOUT_S)
    except Exception as error:
        raise topic_error(error, f"looking up topic {topic!r} and subscription {subscription!r}") from error
    finally:
        publishing.transport.close()
        subscribing.transport.close()


class TopicAdmin:
    """Topic and subscription as the API describes them (`google.pubsub.v1.Topic`, `Subscription`), for `deploy`.

    Errors of google.api_core pass through: only the caller knows which role was missing.
    """

    def __init__(self) -> None:
        """Raises ConfigError without credentials."""
        from google.api_core.retry import Retry, if_transient_error

        self._publisher, self._subscriber = publisher(), subscriber()
        self._retry = Retry(predicate=if_transient_error, timeout=RPC_TIMEOUT_S)  # by default it goes on for 10 minutes

    def topic(self, path: str) -> Any:
        """The `Topic`, or None."""
        from google.api_core.exceptions import NotFound

        with contextlib.suppress(NotFound):
            return self._publisher.get_topic(topic=path, retry=self._retry, timeout=RPC_TIMEOUT_S)
        return None

    def create_topic(self, path: str) -> None:
        self._publisher.create_topic(name=path, retry=None, timeout=RPC_TIMEOUT_S)

    def subscription(self, path: str) -> Any:
        """The `Subscription`, or None."""
        from google.api_core.exceptions import NotFound

        with contextlib.suppress(NotFound):
            return self._subscriber.get_subscription(subscription=path, retry=self._retry, timeout=RPC_TIMEOUT_S)
        return None

    def create_subscription(self, path: str, topic: str, settings: dict[str, Any]) -> None:
        """`settings`: fields of `Subscription` as JSON has them, in snake case."""
        request = {"name": path, "topic": topic, **settings}
        self._subscriber.create_subscription(request=request, retry=None, timeout=RPC_TIMEOUT_S)

    def update_subscription(self, path: str, settings: dict[str, Any]) -> None:
        """Changes the fields that `settings` names, and no other."""
        request = {"subscription": {"name": path, **settings}, "update_mask": {"paths": sorted(settings)}}
        self._subscriber.update_subscription(request=request, retry=self._retry, timeout=RPC_TIMEOUT_S)

    def close(self) -> None:
        self._publisher.transport.close()
        self._subscriber.transport.close()


def publish(client: PublisherClient, topic: str, messages: Sequence[Message]) -> list[str]:
    """One Publish request; returns the server's message ids once it has confirmed all of them.

    `topic` is a path. The caller keeps a request below 10 MB. Raises TopicUnavailable or TopicRefused; whatever the
    error, some of the messages may have been published.
    """
    from google.pubsub_v1.types import PublishRequest, PubsubMessage

    request = PublishRequest.pb()()
    request.topic = topic
    kind = PubsubMessage.pb()
    request.messages.extend(kind(data=message.data, attributes=message.attributes) for message in messages)
    try:
        return list(client.publish(request=request, retry=None, timeout=RPC_TIMEOUT_S).message_ids)
    except Exception as error:
        raise topic_error(error, "publishing") from error


def topic_error(error: Exception, what: str) -> LtvError:
    """The error of our tree for one of the client library's; decided by its status code."""
    from google.api_core import exceptions

    if isinstance(error, LtvError):
        return error
    if isinstance(error, exceptions.NotFound):
        return TopicRefused(
            f"Pub/Sub, {what}: {error.message}",
            hint="create topic and subscription first; with the emulator they are created at the start",
        )
    if isinstance(error, exceptions.PermissionDenied | exceptions.Unauthenticated):
        return TopicRefused(
            f"Pub/Sub, {what}: {error.message}",
            hint="grant roles/pubsub.publisher to the worker, .subscriber to the pipeline",
        )
    if isinstance(error, exceptions.InvalidArgument):
        return TopicRefused(
            f"Pub/Sub, {what}: {error.message}", hint="check project, topic and subscription in shop.yaml"
        )
    if isinstance(error, exceptions.GoogleAPICallError | exceptions.RetryError):
        return TopicUnavailable(
            f"Pub/Sub, {what}: {error.message}", hint="check the network, or that the emulator runs"
        )
    raise error


@dataclass(frozen=True)
class PulledMessage:
    """A message in hand, and the id that acknowledges this delivery of it."""

    message: Message
    ack_id: str


class Subscription:
    """A subscription as unary calls: pull, acknowledge, extend leases. For use by several threads."""

    def __init__(self, project: str, subscription: str) -> None:
        """Raises TopicRefused where the subscription does not exist, TopicUnavailable where nobody answers."""
        self.path = subscription_path(project, subscription)
        self._client = subscriber()
        try:
            found = self._client.get_subscription(subscription=self.path, timeout=RPC_TIMEOUT_S)
        except Exception as error:
            self._client.transport.close()
            raise topic_error(error, f"looking up subscription {subscription!r}") from error
        self.deadline_s = int(found.ack_deadline_seconds)

    def pull(self, most: int = 100) -> list[PulledMessage]:
        """Up to `most` messages; waits for the first some seconds. Raises TopicUnavailable or TopicRefused."""
        from google.api_core.exceptions import DeadlineExceeded

        try:
            response = self._client.pull(
                request={"subscription": self.path, "max_messages": most}, retry=None, timeout=PULL_TIMEOUT_S
            )
        except DeadlineExceeded:
            return []
        except Exception as error:
            raise topic_error(error, "pulling") from error
        raw = type(response).pb(response)
        return [
            PulledMessage(
                Message(
                    item.message.data,
                    dict(item.message.attributes),
                    item.message.message_id,
                    item.message.publish_time.ToJsonString(),
                ),
                item.ack_id,
            )
            for item in raw.received_messages
        ]

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Raises TopicUnavailable; then the messages come again."""
        for start in range(0, len(ack_ids), IDS_PER_REQUEST):
            part = list(ack_ids[start : start + IDS_PER_REQUEST])
            try:
                self._client.acknowledge(subscription=self.path, ack_ids=part, retry=None, timeout=RPC_TIMEOUT_S)
            except Exception as error:
                raise topic_error(error, "acknowledging") from error

    def modify_deadline(self, ack_ids: Sequence[str], seconds: int | None) -> None:
        """Extends the leases by `seconds`, by the subscription's own deadline (None), or gives back at once (0)."""
        seconds = self.deadline_s if seconds is None else seconds
        for start in range(0, len(ack_ids), IDS_PER_REQUEST):
            part = list(ack_ids[start : start + IDS_PER_REQUEST])
            try:
                self._client.modify_ack_deadline(
                    subscription=self.path,
                    ack_ids=part,
                    ack_deadline_seconds=seconds,
                    retry=None,
                    timeout=RPC_TIMEOUT_S,
                )
            except Exception as error:
                raise topic_error(error, "extending leases") from error

    def close(self) -> None:
        self._client.transport.close()
