"""Mail on an IMAP server. Needs the extra `mail`."""

from pratique.tools.imap.account import ImapAccount
from pratique.tools.imap.tools import imap_tools

__all__ = ["ImapAccount", "imap_tools"]
