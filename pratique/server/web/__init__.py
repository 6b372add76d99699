"""The pages that people use: the queue, the card, and what the house did. Rendered here, whole, as HTML.

Rules:
- A page shows; what it posts is decided by `pratique.approvals`, as it is for every other door.
- Everything works without JavaScript. Scripts add keys, clocks that run, and a queue that follows.
"""

from fastapi import FastAPI

from pratique.server.web import (
    answering,
    auditing,
    decisions,
    editing,
    entering,
    figures,
    housekeeping,
    queueing,
    searching,
    servers,
    standing,
    static,
    together,
    tracing,
)
from pratique.server.web.pages import problem_page


def mount(app: FastAPI) -> None:
    """Add the pages to an application that `create_app` makes."""
    app.state.problem_page = problem_page
    for part in (
        static,
        entering,
        queueing,
        together,
        editing,
        answering,
        standing,
        decisions,
        tracing,
        searching,
        housekeeping,
        servers,
        auditing,
        figures,
    ):
        app.include_router(part.router, include_in_schema=False)
