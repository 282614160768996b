"""Calls to the AWS endpoint: botocore behind a typed edge, with retries."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar, cast

import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

from .model import Rejected, Target
from .retry import TransientError, patiently

__all__ = ["AwsApi"]

T = TypeVar("T")

# Service models take longer to read than most calls take: once a process.
_LOADER = cast("Any", botocore.loaders).Loader()
_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown", "TooManyRequestsException")


class AwsApi:
    """The clients of one account and region, safe to use from several threads; no environment or file is read."""

    def __init__(self, target: Target) -> None:
        self.account = target.account
        self.region = target.region
        self._target = target
        self._lock = Lock()
        self._clients: dict[str, Any] = {}
        sealed: Any = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        self._session: Any = botocore.session.Session(session_vars=sealed)
        self._session.register_component("data_loader", _LOADER)

    def client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connect(service)
            return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def call(self, service: str, operation: str, *, missing: tuple[str, ...] = (), **request: Any) -> dict[str, Any]:
        """The answer; empty for an error code among ``missing``.

        Raises Rejected for a definite refusal, CheckFailed when trouble lasts until the deadline.
        """
        return self.patiently(
            lambda: self.once(service, operation, missing=missing, **request), f"{service} {operation}"
        )

    def list(self, service: str, operation: str, key: str, **request: Any) -> list[Any]:
        """Every item under ``key`` on every page."""

        def pages() -> list[Any]:
            paginator = self.client(service).get_paginator(operation)
            return [item for page in paginator.paginate(**request) for item in page.get(key, ())]

        return self.patiently(lambda: _translated(pages), f"{service} {operation}")

    def once(self, service: str, operation: str, *, missing: tuple[str, ...] = (), **request: Any) -> dict[str, Any]:
        """One call without retries, for what must not be repeated blindly. Raises TransientError or Rejected."""
        try:
            return _translated(lambda: getattr(self.client(service), operation)(**request))
        except Rejected as error:
            if error.code in missing:
                return {}
            raise

    def patiently(self, call: Callable[[], T], what: str) -> T:
        return patiently(call, seconds=self._target.patience.trouble, what=what)

    def _connect(self, service: str) -> Any:
        return self._session.create_client(
            service,
            region_name=self._target.region,
            endpoint_url=self._target.aws_endpoint,
            aws_access_key_id=self._target.access_key_id,
            aws_secret_access_key=self._target.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 1},
                connect_timeout=self._target.patience.request,
                read_timeout=self._target.patience.request,
                proxies={},
                max_pool_connections=16,
            ),
        )


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except (AwsConnectionError, HTTPClientError, ResponseParserError) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error
    except ParamValidationError as error:
        raise Rejected(str(error), code="ParamValidation") from error
    except ClientError as error:
        answer = cast("dict[str, Any]", error.response)
        code = str(answer.get("Error", {}).get("Code", ""))
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _THROTTLED or status == 429 or status >= 500:
            raise TransientError(str(error)) from error
        raise Rejected(str(error), code=code) from error
