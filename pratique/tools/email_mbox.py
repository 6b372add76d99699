"""The mail tools on mbox files: list, search and read. The host names the file root `mbox` (read).

Rules:
- A host registers these, those of `email` or those of an IMAP account: the names are the same.
"""

from pratique.tools.mailbox_tools import from_files, reading_tools
from pratique.tools.mbox import Mbox

list_messages, search_messages, read_message = reading_tools(from_files("mbox", Mbox), paths={"mbox": "read"})
