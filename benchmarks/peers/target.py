"""A target on loopback: 20 ms a call, at most 200 records in one, and it counts what it was given.

`POST /batch` takes a JSON array, `GET /seen` says how many calls and different ids there were, `GET /when` at what time
each id was last had (once it is answered), `POST /forget` begins anew. Its port is the first line on stdout.
"""

import asyncio
import json
import time
from collections.abc import Mapping

LATENCY, MOST = 0.02, 200


class Target:
    """What was delivered so far."""

    def __init__(self) -> None:
        self.calls = 0
        self.ids: dict[str, float] = {}

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, Mapping[str, float]]:
        """One request's status and document."""
        if path == "/seen":
            return 200, {"calls": self.calls, "ids": len(self.ids)}
        if path == "/when":
            return 200, self.ids
        if path == "/forget":
            self.__init__()
            return 200, {}
        records = json.loads(body)
        self.calls += 1
        await asyncio.sleep(LATENCY)
        if len(records) > MOST:
            return 413, {}
        self.ids |= dict.fromkeys((record["id"] for record in records), time.time())
        return 200, {"ok": len(records)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode("latin-1").split("\r\n")
                method, path, _ = line.split(" ", 2)
                length = next((int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length:")), 0)
                status, document = await self.answer(method, path, await reader.readexactly(length))
                text = json.dumps(document).encode()
                writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main() -> None:
    """Until the process is ended."""
    server = await asyncio.start_server(Target().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
