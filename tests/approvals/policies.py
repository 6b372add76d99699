"""What the tests of deciding share: policies and people."""

ASK_WRITES = """
[[ask]]
id = "writes"
to = "*"
tools = ["*"]
tier = "write"
approvers = "leads"
wait = "4h"
use_within = "15m"
"""
TWO = ASK_WRITES.replace('approvers = "leads"', 'approvers = "leads"\nquorum = 2')
LI, BO, KIM = "li@acme.example", "bo@acme.example", "kim@acme.example"
PAY = {"to": "mo", "amount": 5}
