"""Words too common to name a record: a thousand records say `pending`.

Rules:
- States, flags and kinds of record, as trackers, mailboxes and calendars write them; nothing from one product.
"""

STATUS_WORDS = frozenset(
    (
        "true false none null yes no on off open opened closed done todo new old sent received draft drafts read "
        "unread pending active inactive confirmed canceled cancelled accepted declined approved rejected paid "
        "unpaid public private internal external low normal medium high urgent file folder text inbox email "
        "message event user admin today tomorrow yesterday morning meeting lunch payment transaction document "
        "report notes"
    ).split()
)
"""A field that holds only one of these does not anchor its record."""
