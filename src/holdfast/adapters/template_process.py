"""Templates rendered in a child process that may use only so much time and memory: ``messages.Render``.

Jinja's sandbox keeps a template from reaching out; it does not keep ``{{ 'a' * 300000000 }}`` from taking the machine.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from jinja2 import Environment, FileSystemLoader

from holdfast.campaign import rendering
from holdfast.campaign.rendering import Rendered
from holdfast.errors import CampaignError

CPU_SECONDS = 2.0
ADDRESS_SPACE = 512 * 2**20
"""Bytes; Python, Jinja and the CSS inliner take about a fifth of it."""


class TemplateProcess:
    """Renders the templates of one folder, by one child that is started when it is needed and again when it died."""

    def __init__(self, folder: Path, cpu_seconds: float = CPU_SECONDS) -> None:
        self._command = [sys.executable, "-m", __name__, str(folder), str(cpu_seconds)]
        self._cpu_seconds = cpu_seconds
        self._child: subprocess.Popen[str] | None = None
        self._turn = Lock()

    def __call__(self, template: str, locale: str, words: Mapping[str, Any]) -> Rendered:
        """As ``rendering.render``; CampaignError as well when the template takes more than its time or memory."""
        request = json.dumps({"template": template, "locale": locale, "words": words})
        with self._turn:
            answer = self._ask(request)
        if answer is None:
            raise CampaignError(
                f"template {template} took more than {self._cpu_seconds:g} s of computing, or brought its renderer "
                "down; look for a loop or a repetition that grows"
            )
        if "error" in answer:
            raise CampaignError(answer["error"])
        return Rendered(**answer)

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            with suppress(BrokenPipeError):
                child.communicate()

    def __del__(self) -> None:
        self.close()

    def _ask(self, request: str) -> dict[str, Any] | None:
        """The child's answer, or None when it ended instead of answering."""
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both ends were asked for")
        with suppress(BrokenPipeError):
            stdin.write(request + "\n")
            stdin.flush()
        line = stdout.readline()
        if not line.endswith("\n"):
            self.close()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer


def _serve(folder: Path, cpu_seconds: float) -> None:
    """Answer requests, one JSON line each, until standard input ends. Too much computing ends the process itself."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes standard input
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    templates = rendering.environment(FileSystemLoader(folder))
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = _answer(templates, request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


def _answer(templates: Environment, request: Mapping[str, Any]) -> str:
    template = request["template"]
    try:
        return json.dumps(asdict(rendering.render(templates, template, request["locale"], request["words"])))
    except CampaignError as error:
        return json.dumps({"error": str(error)})
    except MemoryError:
        return json.dumps({"error": f"template {template} takes more than {ADDRESS_SPACE // 2**20} MB of memory"})


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), float(sys.argv[2]))
