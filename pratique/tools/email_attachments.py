"""`mail.attachment` on a Maildir: a module of its own, because who registers it needs a jail."""

from pratique.tools.mail_attachment import attachment_tool
from pratique.tools.mailbox_tools import from_files
from pratique.tools.maildir import Maildir

read_attachment = attachment_tool(from_files("maildir", Maildir), paths={"maildir": "read"})
