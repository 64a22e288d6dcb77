"""What is wrong with a template, in Go's words."""

from __future__ import annotations

from labcontainer.errors import UsageError


class TemplateError(UsageError):
    """A template that cannot be read, or not be filled in: ``template parsing error: template: :1:2: …``."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__("format", text, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"template parsing error: template: {self.reason}"

    @classmethod
    def at_line(cls, text: str, position: int, reason: str) -> TemplateError:
        """An error found while the template was read."""
        return cls(text, f":{1 + text.count(chr(10), 0, position)}: {reason}")

    @classmethod
    def at_node(cls, text: str, position: int, node: str, reason: str) -> TemplateError:
        """An error found while `node`, which stands at `position`, was filled in."""
        line = 1 + text.count("\n", 0, position)
        column = position - (text.rfind("\n", 0, position) + 1)
        return cls(text, f':{line}:{column}: executing "" at <{node}>: {reason}')
