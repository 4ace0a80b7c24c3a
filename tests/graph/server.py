"""The HTTP side: routes to drives and to the sign-in service, and closes connections when a fault says so."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.adapters.quickxorhash import QuickXorHash
from tests.graph.authority import Authority, Denied
from tests.graph.drive import SECRET, Drive, Item
from tests.graph.rules import GRANULE, Refusal, content_range, split_path

BLOCK = 1 << 20
PAGE = 200


class Closed(Exception):
    """The connection ends without an answer."""


class Graph(ThreadingHTTPServer):
    """The whole service. ``lock`` is held while anything but a body is handled."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, root: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.root = root
        self.lock = threading.RLock()
        self.authority = Authority(self.base)
        self.drives: dict[str, Drive] = {}
        self.grants: dict[str, set[str]] = {}
        """The sites that an app was given, by the app's client id; "*" is every app."""
        self.pace = 0.0
        """Bytes a second that the line takes, all connections together; 0: as many as come."""
        self._line_free = 0.0
        self.sites = {"school.sharepoint.com/sites/lessen": "site-lessen"}
        self.add("me")
        self.add("site-lessen")

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, id: str, **how: Any) -> Drive:
        self.drives[id] = Drive(id, self.root / id, **how)
        return self.drives[id]

    def paced(self, size: int) -> None:
        """Wait as long as these bytes take on the line."""
        if not self.pace:
            return
        with self.lock:
            self._line_free = max(self._line_free, time.perf_counter()) + size / self.pace
            ahead = self._line_free - time.perf_counter()
        if ahead > 0.002:
            time.sleep(ahead)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that dies is what this server is for."""
        import sys
        import traceback

        if not isinstance(sys.exc_info()[1], ConnectionError | Closed):
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Graph

    def log_message(self, *_: Any) -> None:
        """Quiet: the log of a drive is asked for with /control/log."""

    # --- answering -------------------------------------------------------------------------------------------------

    def answer(self, status: int, document: Any = None, headers: dict[str, str] | None = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('',))[0]}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append("Content-Type: application/json")
        lines += [f"Content-Length: {len(body)}", f"request-id: {secrets.token_hex(8)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode() + body)
        self.status = status

    def page(self, text: str) -> None:
        body = text.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def refuse(self, refusal: Refusal) -> None:
        document = {"error": {"code": refusal.code, "message": "See the documentation."}}
        self.answer(refusal.status, document, refusal.headers)

    def read(self) -> bytes:
        left = int(self.headers.get("Content-Length") or 0)
        self.unread = 0
        return self.rfile.read(left)

    def json(self) -> dict[str, Any]:
        try:
            document = json.loads(self.read() or b"{}")
        except ValueError as error:
            raise Refusal(400, "invalidRequest") from error
        if not isinstance(document, dict):
            raise Refusal(400, "invalidRequest")
        return document

    def drain(self) -> None:
        while self.unread > 0:
            data = self.rfile.read(min(BLOCK, self.unread))
            if not data:
                raise Closed
            self.unread -= len(data)

    def hang_up(self) -> None:
        """Close the connection the hard way, as a line that breaks does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise Closed

    # --- routing ---------------------------------------------------------------------------------------------------

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, Closed):
            self.close_connection = True

    def _handle(self) -> None:
        self.unread = int(self.headers.get("Content-Length") or 0)
        url = urllib.parse.urlsplit(self.path)
        self.query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        self.status = 0
        try:
            try:
                self.route(url.path)
            except Refusal as refusal:
                self.drain()
                self.refuse(refusal)
            except Denied as denied:
                self.drain()
                self.answer(400, denied.document)
        finally:
            if self.unread > 0 and not self.close_connection:
                self.drain()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def route(self, path: str) -> None:
        if path.startswith("/control/"):
            return self.control(path.removeprefix("/control/"))
        if path.startswith("/upload/"):
            return self.upload(*split_path(path)[1:3])
        if path.startswith("/download/"):
            return self.download(*split_path(path)[1:3])
        if path.startswith("/v1.0/"):
            return self.graph(path.removeprefix("/v1.0"))
        if match := re.fullmatch(r"/([^/]+)/(oauth2/v2\.0|v2\.0)/(.+)", path):
            return self.sign_in(match[1], match[3])
        raise Refusal(404, "itemNotFound")

    # --- sign-in ---------------------------------------------------------------------------------------------------

    def sign_in(self, tenant: str, what: str) -> None:
        authority = self.server.authority
        with self.server.lock:
            if what == ".well-known/openid-configuration":
                return self.answer(200, authority.configuration(tenant))
            if what == "authorize":
                return self.page(authority.authorize(self.query))
            form = {key: values[0] for key, values in urllib.parse.parse_qs(self.read().decode()).items()}
            if what == "devicecode":
                return self.answer(200, authority.device_code(form))
            if what == "token":
                return self.answer(200, authority.token(tenant, form))
        raise Refusal(404, "itemNotFound")

    # --- Graph -----------------------------------------------------------------------------------------------------

    def graph(self, path: str) -> None:
        with self.server.lock:
            grant = self.server.authority.bearer(self.headers.get("Authorization"))
            if grant is None:
                raise Refusal(401, "InvalidAuthenticationToken")
            if path == "/me/drive":
                if grant.kind == "app":
                    raise Refusal(400, "BadRequest")
                return self.about(self.known("me" if grant.person == "0001" else f"me-{grant.person}"))
            if match := re.fullmatch(r"/sites/([^/:]+):/([^:]+)", path):
                id = self.server.sites.get(f"{match[1]}/{urllib.parse.unquote(match[2])}")
                if id is None:
                    raise Refusal(404, "itemNotFound")
                if grant.kind == "app" and not {"*", grant.client} & self.server.grants.get(id, set()):
                    raise Refusal(403, "accessDenied")
                return self.answer(200, {"id": id})
            if match := re.fullmatch(r"/sites/([^/:]+)/drive", path):
                return self.about(self.known(match[1]))
            if match := re.fullmatch(r"/drives/([^/]+)(/.*)?", path):
                return self.in_drive(self.known(urllib.parse.unquote(match[1])), match[2] or "")
        raise Refusal(404, "itemNotFound")

    def known(self, id: str) -> Drive:
        if id not in self.server.drives:
            raise Refusal(404, "itemNotFound")
        return self.server.drives[id]

    def about(self, drive: Drive) -> None:
        self.event(drive, "drive")
        quota = {"total": drive.quota, "used": drive.used(), "remaining": max(0, drive.quota - drive.used())}
        self.answer(200, {"id": drive.id, "driveType": "business", "name": "Documents", "quota": quota})
        self.note(drive, "drive")

    def in_drive(self, drive: Drive, path: str) -> None:
        if path in ("", "/"):
            self.about(drive)
            return
        match = re.fullmatch(r"/(?:root|items/([^/:]+))(?::(/[^:]*):?)?(/.*)?", path)
        if not match:
            raise Refusal(400, "invalidRequest")
        start, names, action = match[1] or "root", split_path(match[2] or ""), (match[3] or "").strip("/")
        name = EVENT_OF.get((self.command, action.split("/")[0]), "")
        if not name:
            raise Refusal(405, "notSupported")
        name = "at" if name == "item" and names else name
        fault = self.event(drive, name)
        try:
            getattr(self, "_" + name)(drive, start, names, action, fault)
        except Refusal as refusal:
            self.note(drive, name, refusal.status)
            raise
        self.note(drive, name)
        if fault.get("lost"):
            self.hang_up()

    def event(self, drive: Drive, name: str, piece: int | None = None) -> dict[str, Any]:
        """What goes wrong now. An answer that comes before the work is given here."""
        fault = drive.faults.strike(name, piece)
        if "cut" in fault and name != "put":
            self.hang_up()
        if "status" in fault and not fault.get("kept") and not fault.get("gone"):
            self.note(drive, name, fault["status"])
            raise _told(fault)
        return fault

    def note(self, drive: Drive, name: str, status: int | None = None, **more: Any) -> None:
        row = {"event": name, "status": self.status if status is None else status}
        row["authorization"] = "Authorization" in self.headers
        drive.log.append(row | more)

    def reply(self, drive: Drive, status: int, document: Any, fault: dict[str, Any]) -> None:
        """Answer, unless the fault says otherwise."""
        if fault.get("lost"):
            self.status = 0
        elif "status" in fault:
            self.refuse(_told(fault))
        else:
            self.answer(status, document)

    def _at(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        self.reply(drive, 200, drive.document(drive.walk(start, names)), fault)

    _item = _at

    def _children(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        item = drive.walk(start, names)
        begin = int(self.query.get("$skiptoken", 0))
        size = min(PAGE, int(self.query.get("$top", PAGE)))
        found = drive.children(item.id)
        document: dict[str, Any] = {"value": [drive.document(one) for one in found[begin : begin + size]]}
        if begin + size < len(found):
            more = urllib.parse.urlencode({"$top": size, "$skiptoken": begin + size})
            at = f"{self.server.base}/v1.0/drives/{drive.id}/items/{item.id}/children"
            document["@odata.nextLink"] = f"{at}?{more}"
        self.reply(drive, 200, document, fault)

    def _folder(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        said = self.json()
        if "folder" not in said:
            raise Refusal(400, "invalidRequest")
        parent = drive.walk(start, names)
        item = drive.make_folder(parent.id, said["name"], said.get("@microsoft.graph.conflictBehavior", "fail"))
        self.reply(drive, 201, drive.document(item), fault)

    def _session(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        said = self.json().get("item", {})
        if not isinstance(said, dict) or set(said) - {"@microsoft.graph.conflictBehavior", "name", "fileSystemInfo"}:
            raise Refusal(400, "invalidRequest")  # fileSize and description are for personal drives
        behaviour = said.get("@microsoft.graph.conflictBehavior", "fail")
        if behaviour not in ("fail", "replace", "rename") or (names and said.get("name", names[-1]) != names[-1]):
            raise Refusal(400, "invalidRequest")
        item: Item | None
        if names:
            parent = drive.walk(start, names[:-1])
            item, name = drive.child(parent.id, names[-1]), names[-1]
        else:
            item = drive.get(start)
            parent, name = drive.get(item.parent), item.name
            behaviour = "replace"
        session = drive.open_session(item, parent.id, name, behaviour, self.headers.get("If-Match"), None)
        document = {
            "uploadUrl": f"{self.server.base}/upload/{drive.id}/{session.id}?{SECRET}={secrets.token_hex(8)}",
            "expirationDateTime": _moment(session.expires),
            "nextExpectedRanges": ["0-"],
        }
        self.reply(drive, 200, document, fault)

    def _content(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        item = drive.walk(start, names)
        ticket = secrets.token_hex(12)
        drive.tickets[ticket] = item.id
        if fault:
            return self.reply(drive, 0, None, fault)
        at = f"{self.server.base}/download/{drive.id}/{ticket}?{SECRET}={secrets.token_hex(8)}"
        return self.answer(302, None, {"Location": at})

    def _put_small(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        parent = drive.walk(start, names[:-1])
        item, new = drive.put_small(parent.id, names[-1], self.read())
        self.reply(drive, 201 if new else 200, drive.document(item), fault)

    def _patch(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        asked, item = self.json(), drive.walk(start, names)
        name, parent = asked.get("name", item.name), asked.get("parentReference", {}).get("id", item.parent)
        if (name, parent) != (item.name, item.parent):
            drive.move(item, parent, name)
        self.reply(drive, 200, drive.document(item), fault)

    def _versions(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        item = drive.walk(start, names)
        found = [{"id": version.id, "size": version.size} for version in reversed(item.versions)]
        self.reply(drive, 200, {"value": found}, fault)

    def _version_delete(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        drive.delete_version(drive.walk(start, names), action.removeprefix("versions/"))
        self.reply(drive, 204, None, fault)

    def _delete(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        drive.delete(drive.walk(start, names), self.headers.get("If-Match"), False)
        self.reply(drive, 204, None, fault)

    def _permanent_delete(self, drive: Drive, start: str, names: list[str], action: str, fault: dict[str, Any]) -> None:
        drive.delete(drive.walk(start, names), None, True)
        self.reply(drive, 204, None, fault)

    # --- upload and download addresses -----------------------------------------------------------------------------

    def download(self, drive_id: str, ticket: str) -> None:
        drive = self.known(drive_id)
        with self.server.lock:
            fault = self.event(drive, "download")
            if drive.forbids_authorization and "Authorization" in self.headers:
                raise Refusal(401, "unauthenticated")
            version = drive.get(drive.tickets.get(ticket, "")).current
        with open(version.file, "rb") as file:
            start, stop = 0, version.size
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
                start, stop = int(match[1]), min(version.size, int(match[2] or version.size - 1) + 1)
            file.seek(start)
            status = "206 Partial Content" if "Range" in self.headers else "200 OK"
            more = f"Content-Range: bytes {start}-{stop - 1}/{version.size}\r\n" if status[:3] == "206" else ""
            self.wfile.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: {stop - start}\r\n\r\n".encode())
            left = stop - start
            while left and (data := file.read(min(BLOCK, left))):
                self.wfile.write(data)
                left -= len(data)
                if "after" in fault and stop - start - left >= fault["after"]:
                    self.hang_up()
        self.status = 200
        self.note(drive, "download")

    def upload(self, drive_id: str, id: str) -> None:
        drive = self.known(drive_id)
        if self.command == "GET":
            with self.server.lock:
                fault = self.event(drive, "status")
                if fault.get("gone"):
                    self.lose(drive, id, fault)
                session = drive.session(id)
                document = {"expirationDateTime": _moment(session.expires)}
                missing = fault["ranges"] if "ranges" in fault else drive.expected(session)
                self.reply(drive, 200, document | {"nextExpectedRanges": missing}, fault)
                self.note(drive, "status")
            if fault.get("lost"):
                self.hang_up()
            return None
        if self.command == "DELETE":
            with self.server.lock:
                fault = self.event(drive, "cancel")
                drive.end_session(drive.session(id))
                self.reply(drive, 204, None, fault)
                self.note(drive, "cancel")
            return None
        if self.command == "PUT":
            return self.put(drive, id)
        raise Refusal(405, "notSupported")

    def lose(self, drive: Drive, id: str, fault: dict[str, Any]) -> None:
        """The session is gone from now on."""
        if id in drive.sessions:
            drive.end_session(drive.sessions[id])
        raise _told(fault)

    def put(self, drive: Drive, id: str) -> None:
        length = self.unread
        with self.server.lock:
            if drive.forbids_authorization and "Authorization" in self.headers:
                self.note(drive, "put", 401)
                raise Refusal(401, "unauthenticated")
            start, stop, total = content_range(self.headers.get("Content-Range"), length)
            fault = drive.faults.strike("put", start // GRANULE)
            if "status" in fault and not fault.get("kept") and not fault.get("gone"):
                self.note(drive, "put", fault["status"], start=start, stop=stop)
                if not fault.get("early"):
                    self.drain()
                raise _told(fault)
            if fault.get("gone"):
                self.note(drive, "put", fault["status"], start=start, stop=stop)
                self.lose(drive, id, fault)
            session = drive.session(id)
            if session.total not in (None, total):
                raise Refusal(400, "invalidRequest")
            if start != session.received:
                self.note(drive, "put", 416, start=start, stop=stop)
                raise Refusal(416, "invalidRange")
        seen = session.hash.copy()
        if not self.receive(session.file, start, seen, fault):
            with self.server.lock:
                self.note(drive, "put", 0, start=start, stop=stop)
            self.hang_up()
        with self.server.lock:
            session.received, session.hash, session.total = stop, seen, total
            document: dict[str, Any] = {"expirationDateTime": _moment(session.expires)}
            status = 202
            if stop == total:
                self.spoil(drive, session, fault)
                try:
                    item, new = drive.commit(session)
                except Refusal as refusal:
                    self.note(drive, "put", refusal.status, start=start, stop=stop)
                    raise
                status, document = 201 if new else 200, drive.document(item)
            else:
                document["nextExpectedRanges"] = fault.get("ranges") or drive.expected(session)
            self.reply(drive, status, document, fault)
            self.note(drive, "put", start=start, stop=stop)
        if fault.get("lost"):
            self.hang_up()

    def spoil(self, drive: Drive, session: Any, fault: dict[str, Any]) -> None:
        """What others do to the last piece."""
        if fault.get("corrupt"):
            data = bytearray(session.file.read_bytes())
            data[len(data) // 2] ^= 1
            session.file.write_bytes(data)
            session.hash = QuickXorHash()
            session.hash.update(bytes(data))
        if fault.get("other"):
            drive.put_small(session.parent, session.name, b"somebody else's file")

    def receive(self, file: Path, start: int, seen: QuickXorHash, fault: dict[str, Any]) -> bool:
        """Take the body; False when it ends early or is cut."""
        left = min(fault.get("cut", self.unread), self.unread)
        buffer = memoryview(bytearray(BLOCK))
        with open(file, "r+b", buffering=0) as out:
            out.seek(start)
            out.truncate()
            while left:
                got = self.rfile.readinto(buffer[: min(BLOCK, left)])  # type: ignore[attr-defined]
                if not got:
                    return False
                out.write(buffer[:got])
                seen.update(buffer[:got])
                left -= got
                self.unread -= got
                self.server.paced(got)
        return "cut" not in fault

    # --- the other side of the counter -----------------------------------------------------------------------------

    def control(self, what: str) -> None:
        """For tests alone: make drives, order faults, look at what is there."""
        server = self.server
        if what.startswith("raw/"):
            return self.raw(what.removeprefix("raw/"))
        with server.lock:
            said = self.json() if self.command == "POST" else {}
            if what == "drive":
                faults = said.pop("faults", [])
                drive = server.add(**said)
                for one in faults:
                    drive.faults.add(one)
                return self.answer(200, {})
            if what == "faults":
                for one in said["faults"]:
                    self.known(said["drive"]).faults.add(one)
                return self.answer(200, {})
            if what == "drop":
                shutil.rmtree(server.drives.pop(said["drive"]).root)
                return self.answer(200, {})
            if what == "settle":
                drive = self.known(said.pop("drive"))
                for name, value in said.items():
                    setattr(drive, name, value)
                return self.answer(200, {})
            if what == "authority":
                for name, value in said.items():
                    setattr(server.authority, name, value)
                return self.answer(200, {"issued": server.authority.issued})
            if what == "pace":
                server.pace = said["bytes_per_second"]
                return self.answer(200, {})
            if what == "token":
                return self.answer(200, {"token": server.authority.mint(said.get("kind", "user"))})
            if what == "forget":
                server.authority.tokens.clear()
                return self.answer(200, {})
            if what == "grant":
                server.grants.setdefault(said["site"], set()).add(said["client"])
                return self.answer(200, {})
            if what == "state":
                return self.answer(200, state(self.known(self.query["drive"])))
        raise Refusal(404, "itemNotFound")

    def raw(self, name: str) -> None:
        """A plain PUT of any size that does the same work as an upload: the bar for benchmarks."""
        file = self.server.root / f"raw-{name}"
        file.touch()
        if not self.receive(file, 0, QuickXorHash(), {}):
            raise Closed
        file.unlink()
        self.answer(201, {})


EVENT_OF = {
    ("GET", ""): "item",
    ("GET", "children"): "children",
    ("POST", "children"): "folder",
    ("POST", "createUploadSession"): "session",
    ("GET", "content"): "content",
    ("PUT", "content"): "put_small",
    ("PATCH", ""): "patch",
    ("GET", "versions"): "versions",
    ("DELETE", "versions"): "version_delete",
    ("DELETE", ""): "delete",
    ("POST", "permanentDelete"): "permanent_delete",
}


def state(drive: Drive) -> dict[str, Any]:
    """What a drive holds, for a test to judge."""
    import hashlib

    def told(item: Item) -> dict[str, Any]:
        return {
            "id": item.id,
            "path": drive.path(item),
            "size": item.current.size,
            "sha256": hashlib.sha256(item.current.file.read_bytes()).hexdigest(),
            "versions": len(item.versions),
        }

    return {
        "files": [told(item) for item in drive.items.values() if not item.folder],
        "folders": [drive.path(item) for item in drive.items.values() if item.folder and item.parent],
        "sessions": len(drive.sessions),
        "bin": [item.name for item in drive.bin],
        "struck": drive.faults.struck,
        "log": drive.log,
    }


def _told(fault: dict[str, Any]) -> Refusal:
    wait = fault.get("retry_after")
    codes = {404: "itemNotFound", 401: "unauthenticated", 403: "accessDenied", 409: "nameAlreadyExists"}
    codes |= {412: "preconditionFailed", 416: "invalidRange", 429: "tooManyRequests", 500: "generalException"}
    codes |= {503: "serviceNotAvailable", 507: "insufficientStorage"}
    code = fault.get("code") or codes.get(fault["status"], "generalException")
    return Refusal(fault["status"], code, {} if wait is None else {"Retry-After": str(wait)})


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
