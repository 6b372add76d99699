"""Words too common to mean one thing: states that a thousand records share, and endings of file names.

Rules:
- States, flags and kinds of record, as trackers, mailboxes and calendars write them; nothing from one
  product.
"""

STATUS_WORDS = frozenset(
    {
        "true", "false", "none", "null", "yes", "no", "on", "off", "open", "opened", "closed",
        "done", "todo", "new", "old", "sent", "received", "draft", "drafts", "read", "unread",
        "pending", "active", "inactive", "confirmed", "canceled", "cancelled", "accepted",
        "declined", "approved", "rejected", "paid", "unpaid", "public", "private", "internal",
        "external", "low", "normal", "medium", "high", "urgent", "file", "folder", "text", "inbox",
        "email", "message", "event", "user", "admin", "today", "tomorrow", "yesterday", "morning",
        "meeting", "lunch", "payment", "transaction", "document", "report", "notes",
    }
)  # fmt: skip
"""A field that holds only one of these does not anchor its record."""

FILE_ENDINGS = frozenset(
    {
        "bak", "bmp", "c", "cfg", "conf", "cpp", "css", "csv", "doc", "docx", "eml", "gif", "go",
        "gz", "h", "htm", "html", "ics", "ini", "ipynb", "java", "jpeg", "jpg", "js", "json", "log",
        "md", "mp3", "mp4", "msg", "odp", "ods", "odt", "pdf", "png", "ppt", "pptx", "py", "rb",
        "rst", "rtf", "svg", "sql", "tar", "tex", "toml", "ts", "tsv", "txt", "wav", "xls", "xlsx",
        "xml", "yaml", "yml", "e", "g", "i", "a", "m", "p",
    }
)  # fmt: skip
"""What follows the last dot of a file name or an abbreviation: `report.docx` and `e.g` are no hosts."""
