"""The JSON API, under `/api/v1`: each file is one resource."""

from fastapi import APIRouter

from pratique.server.api import login

router = APIRouter(prefix="/api/v1")
router.include_router(login.router)
