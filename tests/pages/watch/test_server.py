"""Who was not given the address is refused."""

import http.client
from collections.abc import Iterator

import pytest

from pages.watch.controls import Controls
from pages.watch.server import Server
from runtime.errors import UsageError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    served = Server(Controls())
    yield served
    served.close()


def status(server: Server, path: str, **headers: str) -> int:
    """The answer's code."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("GET", path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    return connection.getresponse().status


SOCKET = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec_websocket_version": "13",
}


def test_the_address_is_served(server: Server) -> None:
    assert server.address.startswith(f"http://127.0.0.1:{server.port}/")
    assert len(server.token) >= 32
    assert status(server, f"/{server.token}/") == 200
    assert status(server, f"/{server.token}/main.js") == 200
    assert status(server, f"/{server.token}/live", origin=f"http://127.0.0.1:{server.port}", **SOCKET) == 101


@pytest.mark.parametrize(
    "path", ["/", "/main.js", "/x/", "/x/main.js", "/x/live", "/x/pictures/a.png", "/live"]
)
def test_without_the_token_it_is_refused(server: Server, path: str) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    assert status(server, path) == 403
    assert status(server, path, origin=origin, **SOCKET) == 403


@pytest.mark.parametrize("path", ["", "main.js", "live", "pictures/a.png"])
@pytest.mark.parametrize("origin", ["http://example.org", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_a_foreign_origin_is_refused(server: Server, path: str, origin: str) -> None:
    more = SOCKET if path == "live" else {}
    assert status(server, f"/{server.token}/{path}", origin=origin, **more) == 403


def test_a_socket_without_an_origin_is_refused(server: Server) -> None:
    assert status(server, f"/{server.token}/live", **SOCKET) == 403


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "127.0.0.1.example.org", ""])
@pytest.mark.parametrize("path", ["", "live"])
def test_a_foreign_name_is_refused(server: Server, host: str, path: str) -> None:
    more = SOCKET | {"origin": f"http://{host}"} if path == "live" else {}
    assert status(server, f"/{server.token}/{path}", host=host, **more) in (400, 403)


@pytest.mark.parametrize(
    "name", ["..", "../server.py", "nothing.js", "%2e%2e", "pictures/nothing.png", "a/b"]
)
def test_only_the_pages_own_files_are_served(server: Server, name: str) -> None:
    assert status(server, f"/{server.token}/{name}") in (403, 404)


def test_the_port_may_be_taken(server: Server) -> None:
    with pytest.raises(UsageError, match=f"--port {server.port} cannot be used"):
        Server(Controls(), server.port)
