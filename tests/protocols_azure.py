"""A loopback server that speaks Azure OpenAI's protocol: the deployment in the path, the version in the query, the key in its own header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.protocols import Arrived, OpenAI, Refusal

FILTERED = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


class Azure(OpenAI):
    """POST /openai/deployments/DEPLOYMENT/chat/completions?api-version=VERSION."""

    provider, model, base = "azure", "my-deployment", ""
    variables = "AZURE_API_BASE", "AZURE_API_KEY"
    version = "2024-10-21"
    settings: Mapping[str, str] = {"AZURE_API_VERSION": version}
    fields = frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "model", "n"}
        | {"parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "stream"}
        | {"stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"}
    )

    def paths(self) -> tuple[str, str]:
        at = f"/openai/deployments/{self.model}/chat/completions?api-version={self.version}"
        return at, at

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("api-key")

    def asked(self, arrived: Arrived) -> str:
        return urlsplit(arrived.path).path.split("/")[3]

    def refused(self, arrived: Arrived) -> Refusal | None:
        if not parse_qs(urlsplit(arrived.path).query).get("api-version"):
            return Refusal(404, {"error": {"code": "404", "message": "Resource not found"}})
        return super().refused(arrived)

    def unauthorized(self) -> Refusal:
        told = "Access denied due to invalid subscription key or wrong API endpoint."
        return Refusal(401, {"error": {"code": "401", "message": told}})

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"code": "DeploymentNotFound" if status == 404 else str(status), "message": message}}

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        done = super().plain(arrived, text)
        [choice] = done["choices"]
        return done | {"choices": [choice | {"content_filter_results": FILTERED}], **self._about_the_prompt()}

    def counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A stream begins with what the filters say of the prompt."""
        first = {**events[0], "choices": [], **self._about_the_prompt()}
        return [first, *super().counted(events)]

    def _about_the_prompt(self) -> dict[str, Any]:
        return {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]}

    def _head(self, arrived: Arrived, kind: str) -> dict[str, Any]:
        """The model's own name, which is not the deployment's."""
        return super()._head(arrived, kind) | {"model": "gpt-5-mini-2025-08-07", "system_fingerprint": "fp_1"}
