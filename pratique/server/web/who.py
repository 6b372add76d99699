"""Who may open which page: the person behind a request, if they have the right that the page takes."""

from typing import Annotated

from pratique.capabilities.rights import Right
from pratique.server.auth.people import Demand, Person

QueueReader = Annotated[Person, Demand(Right.QUEUE_READ)]
Answerer = Annotated[Person, Demand(Right.QUEUE_ANSWER)]
StandingReader = Annotated[Person, Demand(Right.STANDING_READ)]
StandingMaker = Annotated[Person, Demand(Right.STANDING_WRITE)]
TraceReader = Annotated[Person, Demand(Right.TRACE_READ)]
AuditReader = Annotated[Person, Demand(Right.AUDIT_READ)]
ToolsReader = Annotated[Person, Demand(Right.TOOLS_READ)]
PolicyReader = Annotated[Person, Demand(Right.POLICY_READ)]
MetricsReader = Annotated[Person, Demand(Right.METRICS_READ)]
ServersReader = Annotated[Person, Demand(Right.SERVERS_READ)]
ServersRuler = Annotated[Person, Demand(Right.SERVERS_RULE)]
