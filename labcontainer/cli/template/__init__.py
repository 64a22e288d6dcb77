"""Go's templates, as far as docker's ``--format`` uses them.

    >>> from labcontainer.cli.template import Template
    >>> Template("{{.Name}}: {{range .Ports}}{{.}} {{end}}").render({"Name": "web", "Ports": [80, 443]})
    'web: 80 443 '

    text ──lexer──► tokens ──parser──► nodes ──evaluator──► text

Fields, variables, pipelines, literals, ``if``, ``range``, ``with``, ``break``, ``continue``, trimming, comments, Go's
functions and docker's. Errors are worded as Go words them. Left out: ``define``, ``template`` and ``block``, and the
functions ``js`` and ``call``.

See: https://pkg.go.dev/text/template, https://docs.docker.com/engine/cli/formatting/
"""

from __future__ import annotations

from labcontainer.cli.template.errors import TemplateError
from labcontainer.cli.template.evaluator import evaluate
from labcontainer.cli.template.functions import FUNCTIONS, Function
from labcontainer.cli.template.parser import parse
from labcontainer.cli.template.values import Struct

__all__ = ["FUNCTIONS", "Function", "Struct", "Template", "TemplateError"]


class Template:
    """A template, read once. `functions` are FUNCTIONS, or others under the same names."""

    def __init__(self, text: str, functions: dict[str, Function] | None = None) -> None:
        self._functions = FUNCTIONS if functions is None else functions
        self._nodes = parse(text, self._functions)
        self._text = text

    def render(self, data: object) -> str:
        """The text for `data`: mappings, sequences, strings, numbers, booleans, None. Raises: TemplateError."""
        return evaluate(self._nodes, data, self._functions, self._text)
