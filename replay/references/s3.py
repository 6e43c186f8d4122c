"""Objects of S3 and of what speaks its language: a version of an object, or of every object below a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from replay.digest import canonical, of_bytes
from replay.errors import ConfigError, InputError
from replay.references.base import Found, Gone, Reference, Refused

_DENIED = {"403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
_MISSING = {"404", "405", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "MethodNotAllowed", "NotFound"}
_NO_VERSION = {"", "null"}
"""What stands for a version where a bucket keeps none."""


@dataclass(frozen=True)
class S3:
    """`s3://BUCKET/KEY[?versionId=…]`, or `s3://BUCKET/PREFIX/` for all that is newest below it.

    Credentials, region and endpoint are those of the environment (`AWS_…`), as every AWS tool takes them.
    """

    at: str
    environ: Mapping[str, str]

    def find(self, path: str) -> Found:
        """See Origin."""
        who = self._principal()
        with self._told(who):
            objects = list(self._listed(path) if self._key.endswith("/") else [self._one(path)])
        if not objects:
            raise Refused("missing", "no object has this prefix", who)
        parts = {place: f"{quote(key)}?versionId={quote(version)}" for place, key, version, _ in objects}
        single = objects[0][2]
        several = {"objects": str(len(objects)), "versions": of_bytes(canonical(parts))[7:19]}
        return Found(
            kind="s3",
            identity=several if self._key.endswith("/") else {"version": single},
            parts=parts,
            size=sum(size for *_, size in objects),
            folder=self._key.endswith("/"),
            principal=who,
            versioned=not any(version in _NO_VERSION for _, _, version, _ in objects),
        )

    def fetch(self, address: str, reference: Reference | None, scratch: Path) -> Path:
        """See Origin."""
        target = scratch / "object"
        with self._told(""):
            try:
                body = self._client.get_object(**self._named(address))["Body"]
                with target.open("wb") as out:
                    for piece in body.iter_chunks(1 << 20):
                        out.write(piece)
            except self._refusals as error:
                raise self._gone(error, address) from None
        return target

    def lost(self, reference: Reference) -> str | None:
        """See Origin."""
        with self._told(""):
            for address in reference.parts.values():
                try:
                    self._client.head_object(**self._named(address))
                except self._refusals as error:
                    return str(self._gone(error, address))
        return None

    @property
    def _bucket(self) -> str:
        return self.at.removeprefix("s3://").partition("/")[0]

    @property
    def _key(self) -> str:
        return self.at.removeprefix("s3://").partition("/")[2].partition("?")[0]

    @cached_property
    def _client(self) -> Any:
        return self._made("s3")

    @property
    def _refusals(self) -> type[Exception]:
        from botocore.exceptions import ClientError

        return ClientError  # type: ignore[no-any-return]

    def _made(self, service: str) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise ConfigError(
                f"{self.at} cannot be read without boto3",
                cause="it is an extra, and is not installed here",
                do="pip install 'release-replay[s3]'",
            ) from None
        own = {
            "aws_access_key_id": self.environ.get("AWS_ACCESS_KEY_ID"),
            "aws_secret_access_key": self.environ.get("AWS_SECRET_ACCESS_KEY"),
            "aws_session_token": self.environ.get("AWS_SESSION_TOKEN"),
            "region_name": self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION"),
            "profile_name": self.environ.get("AWS_PROFILE"),
        }
        endpoint = self.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or self.environ.get("AWS_ENDPOINT_URL")
        patience = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3})
        session = boto3.Session(**{name: value for name, value in own.items() if value})
        return session.client(service, endpoint_url=endpoint, config=patience)

    def _one(self, path: str) -> tuple[str, str, str, int]:
        wanted = dict(parse_qsl(self.at.partition("?")[2])).get("versionId")
        more = {"VersionId": wanted} if wanted else {}
        head = self._client.head_object(Bucket=self._bucket, Key=self._key, **more)
        return path, self._key, str(head.get("VersionId") or ""), int(head["ContentLength"])

    def _listed(self, path: str) -> Iterator[tuple[str, str, str, int]]:
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._key)
        for page in pages:
            for one in page.get("Versions", []):
                inside = one["Key"].removeprefix(self._key)
                if one["IsLatest"] and inside and not inside.endswith("/"):
                    yield f"{path}/{inside}", one["Key"], str(one.get("VersionId") or ""), int(one["Size"])

    def _named(self, address: str) -> dict[str, str]:
        key, _, version = address.partition("?versionId=")
        named = {"Bucket": self._bucket, "Key": unquote(key)}
        return named if version in _NO_VERSION else {**named, "VersionId": unquote(version)}

    def _principal(self) -> str:
        """Return who asks, as AWS names it (the role, not its session); empty where the server does not tell."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            arn = str(self._made("sts").get_caller_identity()["Arn"])
        except (BotoCoreError, ClientError, KeyError, ValueError):
            return ""
        return re.sub(r"(:assumed-role/[^/]+)/.*", r"\1", arn)

    def _gone(self, error: Any, address: str) -> Gone:
        code = str(error.response.get("Error", {}).get("Code", ""))
        key = unquote(address.partition("?")[0])
        if code in _MISSING:
            return Gone(f"{key} in bucket {self._bucket} has no such version any more: it was deleted, or expired")
        return Gone(f"{key} in bucket {self._bucket} cannot be read: {code}")

    @contextmanager
    def _told(self, who: str) -> Iterator[None]:
        """Turn what botocore raises into a refusal, or into trouble."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _DENIED | _MISSING:
                raise Refused("denied" if code in _DENIED else "missing", code, who) from None
            raise self._trouble(code) from None
        except (BotoCoreError, ValueError) as error:
            raise self._trouble(str(error)) from None

    def _trouble(self, words: str) -> InputError:
        return InputError(
            f"{self.at} gave no answer: {words[:200]}",
            cause="the service cannot be reached, or no credentials are set",
            do="check AWS_ENDPOINT_URL, AWS_REGION and the credentials with `aws s3 ls`",
        )
