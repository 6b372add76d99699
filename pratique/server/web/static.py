"""Serves the files that pages bring along (`assets`), and no others."""

from fastapi import APIRouter, Response

from pratique.server.problems import Problem
from pratique.server.web.assets import ASSETS

router = APIRouter()


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Return one file that pages ask for."""
    if name not in ASSETS:
        raise Problem(404, "no such file", "pages ask for nothing else")
    asset = ASSETS[name]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.body, media_type=asset.media_type, headers=headers)
