"""Prepares the metadata of the package: the README for PyPI, and the addresses of the project.

PyPI shows the README far from the repository, so a relative link in it leads nowhere. The address of the repository is
in `[tool.hatch.metadata.hooks.custom]` of pyproject.toml. With it, each link becomes absolute; without it, only the
text of the link remains.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link or an image in Markdown whose target has neither a scheme nor is a place of the same page.
_RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z][a-z+.-]*:|#)([^)\s]+)\)")


class ProjectMetadata(MetadataHookInterface):
    """Adds the README, and the addresses if there are any."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = str(self.config.get("repository", "")).rstrip("/")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_absolute_links(text, repository)}
        metadata["urls"] = addresses(repository)


def with_absolute_links(text: str, repository: str) -> str:
    """Return Markdown whose relative links lead to the repository; without an address, only their text remains."""

    def absolute(found: re.Match[str]) -> str:
        image, name, target = found.groups()
        if not repository:
            return name
        return f"{image}[{name}]({repository}/{'raw' if image else 'blob'}/main/{target})"

    return _RELATIVE.sub(absolute, text)


def addresses(repository: str) -> dict[str, str]:
    """Return the addresses of the project, by the names that PyPI knows."""
    if not repository:
        return {}
    return {
        "Repository": repository,
        "Documentation": f"{repository}/blob/main/docs/index.md",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
