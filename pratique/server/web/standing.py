"""Standing approvals: the yeses given beforehand, all on one page."""

from fastapi import APIRouter

router = APIRouter()
