"""What the page's scripts ask for and send, as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from starlette.responses import JSONResponse, Response

from pipeline.errors import RepairError
from pipeline.review.door import Asked
from pipeline.review.words import reason
from pipeline.views import Role

LONGEST = 1e6
"""Seconds; nobody played more of a film."""


def session(asked: Asked) -> Response:
    """Who this browser is signed in as by now, and the token that changes need, for a page from before that."""
    token = asked.session.token if asked.session else ""
    return JSONResponse({"name": asked.name, "role": asked.role.value, "token": token})


def clip(asked: Asked) -> Response:
    """All there is to know of a clip; names of people only for the coach."""
    view = asked.desk.house.clip(asked.path("clip"))
    document: dict[str, Any] = {
        name: value for name, value in vars(view).items() if name not in ("row", "lanes", "doubts", "repairs")
    }
    document["row"] = dataclasses.asdict(view.row)
    document["repairs"] = [dataclasses.asdict(one) for one in view.repairs]
    if asked.role is not Role.COACH:  # who said so is often a name
        document["repairs"] = [{**one, "said": ""} for one in document["repairs"]]
    # an hour has thousands of spans, so they go as rows, and each reason goes once
    document["lanes"] = [
        {
            "track": lane.track,
            "tracks": lane.tracks,
            "joined": lane.joined,
            "moment": lane.moment,
            "minor": lane.minor,
            "person": lane.person,
            "repair": lane.repair,
            "sighting": lane.sighting,
            "box": lane.box if lane.sighting else None,
            "spans": [(s.start, s.stop, s.look, s.reason, s.person) for s in lane.spans],
        }
        for lane in view.lanes
    ]
    document["doubts"] = [(one.start, one.stop, one.track, one.reason) for one in view.doubts]
    reasons = {span.reason for lane in view.lanes for span in lane.spans}
    document["reasons"] = {key: reason(asked.speech, key) for key in sorted(reasons)}
    names = {one.id: one.name for one in asked.desk.house.offered(view.row.id)} if asked.role is Role.COACH else {}
    shown = {lane.person for lane in view.lanes} | {span.person for lane in view.lanes for span in lane.spans}
    document["names"] = {person: names[person] for person in shown if person in names}
    return JSONResponse(document)


def work(asked: Asked) -> Response:
    """How far the repairs are."""
    return JSONResponse(dataclasses.asdict(asked.desk.house.work(asked.path("clip"))))


def add(asked: Asked) -> Response:
    """A repair. Sent twice (a connection was lost) it is taken once."""
    id = asked.desk.house.add(asked.path("clip"), asked.form, asked.name, asked.role)
    return JSONResponse({"id": id}, 201)


def undo(asked: Asked) -> Response:
    asked.desk.house.undo(asked.path("clip"), asked.path("repair"), asked.name, asked.role)
    return JSONResponse({})


def judge(asked: Asked) -> Response:
    """Approve or reject the rendering with the digest that was watched."""
    digest, approve = asked.form.get("digest"), asked.form.get("approve")
    if not isinstance(digest, str) or not isinstance(approve, bool):
        raise RepairError("This repair cannot be understood ({field}); load the page again.", field="digest")
    despite, anyway = (asked.form.get(word) is True for word in ("despite", "despite_rejection"))
    said = asked.form.get("played")
    played = (
        float(said) if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < LONGEST else None
    )
    asked.desk.house.judge(asked.path("clip"), digest, asked.name, approve, despite, anyway, played)
    return JSONResponse({})


def looked(asked: Asked) -> Response:
    asked.desk.house.looked(asked.path("clip"), str(asked.form.get("digest", "")), asked.name)
    return JSONResponse({})


def offered(asked: Asked) -> Response:
    """Whom the coach may name: people whose consent is in force."""
    people = asked.desk.house.offered(asked.path("clip"))
    return JSONResponse({"people": [dataclasses.asdict(one) for one in people]})
