# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What lvsdr-streamcheck says about itself, by id. docs/messages/agent.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

CONFIGURATION_UNUSABLE = Message("configuration-unusable", "%(path)s can't be used: %(why)s; the role director writes it, so run site.yml")
