"""A judge's model that only waits: `python bench/slow_model.py SECONDS` prints its address and serves until killed.

Every answer is "No" with probability 0.9, after SECONDS, however many are asked at once; so what is measured with it is
scheduling alone.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys

TOP = [{"token": "No", "logprob": math.log(0.9)}, {"token": "Yes", "logprob": math.log(0.05)}]
PLACE = {"token": "No", "logprob": math.log(0.9), "top_logprobs": TOP}
REPLY = json.dumps({"choices": [{"logprobs": {"content": [PLACE]}}], "usage": {"total_tokens": 100}}).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """One connection, request after request."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
            await reader.readexactly(length)
            await asyncio.sleep(seconds)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serves on a free port of loopback."""
    seconds = float(sys.argv[1])
    server = await asyncio.start_server(lambda r, w: serve(r, w, seconds), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
