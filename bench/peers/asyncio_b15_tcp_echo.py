"""B15 and B16, asyncio and uvloop: a Protocol a connection, the fastest interface both document. The transport keeps what
the kernel does not take; while it has too much, the connection is not read."""

import asyncio
import resource

import peer

BACKLOG = 4096


class Echo(asyncio.Protocol):
    __slots__ = ("transport",)

    def connection_made(self, transport):
        self.transport = transport  # both set TCP_NODELAY

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=BACKLOG)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    options = peer.options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    peer.run_loop(options.loop, serve())


main()
