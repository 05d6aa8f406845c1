"""The address of the repository, one setting: a Sphinx extension with all that needs it.

While ``fracrepro_repository`` is empty in ``_config.yml``, the links that need it are absent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ConfigError
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

__all__ = ["setup"]

_SETTING = "fracrepro_repository"
_ADDRESS = re.compile(r"https://[\w.-]+/[\w./-]*[\w-]")


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the setting, the directive and the theme's buttons."""
    app.add_config_value(_SETTING, "", "env", str)
    app.add_directive("repository", Repository)
    app.connect("config-inited", set_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def set_buttons(app: Sphinx, config: Config) -> None:
    """Let the theme show its buttons for the repository and its issues, if there is an address.

    Raises:
        ConfigError: for an address that is none; names the setting.
    """
    address = config[_SETTING]
    if address and not _ADDRESS.fullmatch(address):
        raise ConfigError(f"{_SETTING} = {address!r}: need an address such as https://example.org/name/book")
    # The builder has an example's address as default, which must not appear.
    shown = bool(address)
    config.html_theme_options |= {
        "repository_url": address,
        "use_repository_button": shown,
        "use_issues_button": shown,
    }


class Repository(SphinxDirective):
    """``{repository}``: what is written only if the address is known; ``<address>`` stands for it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the content with the address in it, or leave it out."""
        address = self.config[_SETTING]
        if not address:
            return []
        lines = [line.replace("<address>", address) for line in self.content]
        return self.parse_text_to_nodes(StringList(lines, source=self.get_source_info()[0]))
