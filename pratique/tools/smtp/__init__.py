"""Mail out through an SMTP server. Needs the extra `mail`."""

from pratique.tools.smtp.account import SmtpAccount
from pratique.tools.smtp.tools import smtp_tools

__all__ = ["SmtpAccount", "smtp_tools"]
