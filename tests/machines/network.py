"""Machines of a test: network namespaces, each with an address of its own, around one router that can cut one off.

Nothing of them is in the network of the machine that runs the test but one end of a cable to the router.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

#: A network that is nobody's: of those for trying out devices (RFC 2544).
NETWORK = "198.18.77"
#: The test's own address there. On a cable the router has the first address, the other end the second.
HERE = f"{NETWORK}.2"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def may_be_made() -> bool:
    """Whether this test run may make namespaces: as root, with iproute2, on a machine that allows it."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"try{secrets.token_hex(3)}"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "left", "type", "veth", "peer", "name", "right")
    except subprocess.CalledProcessError:
        return False
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return True


@dataclass(frozen=True)
class Machine:
    router: str
    namespace: str
    address: str
    port: str

    def start(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], *, user: int = 0
    ) -> "subprocess.Popen[bytes]":
        """A process on this machine. Its output goes to `log`."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        with log.open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *become, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def cut_off(self) -> None:
        """Pull its cable: nothing comes or goes any more, and nobody is told."""
        ip("-n", self.router, "link", "set", self.port, "down")

    def bring_back(self) -> None:
        ip("-n", self.router, "link", "set", self.port, "up")


@contextmanager
def machines(*names: str) -> Iterator[dict[str, Machine]]:
    """Machines of these names around one router, which the test is connected to, too (`HERE`)."""
    run = secrets.token_hex(2)
    router = f"router{run}"
    with ExitStack() as made:

        def namespace(name: str) -> None:
            ip("netns", "add", name)
            made.callback(subprocess.run, ["ip", "netns", "del", name], check=False, capture_output=True)

        namespace(router)
        forward = ["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"]
        subprocess.run(["ip", "netns", "exec", router, *forward], check=True, capture_output=True)
        ip("link", "add", f"here{run}", "type", "veth", "peer", "name", "here", "netns", router)
        _plug_in(router, "here", 0)
        ip("addr", "add", f"{HERE}/30", "dev", f"here{run}")
        ip("link", "set", f"here{run}", "up")
        ip("route", "add", f"{NETWORK}.0/24", "via", f"{NETWORK}.1")
        found = {}
        for number, name in enumerate(names, 1):
            inside = f"{name}{run}"
            namespace(inside)
            ip("-n", inside, "link", "add", "net", "type", "veth", "peer", "name", name, "netns", router)
            _plug_in(router, name, number)
            machine = Machine(router, inside, f"{NETWORK}.{4 * number + 2}", name)
            ip("-n", inside, "addr", "add", f"{machine.address}/30", "dev", "net")
            ip("-n", inside, "link", "set", "net", "up")
            ip("-n", inside, "link", "set", "lo", "up")
            ip("-n", inside, "route", "add", "default", "via", f"{NETWORK}.{4 * number + 1}")
            found[name] = machine
        yield found


def _plug_in(router: str, port: str, number: int) -> None:
    ip("-n", router, "addr", "add", f"{NETWORK}.{4 * number + 1}/30", "dev", port)
    ip("-n", router, "link", "set", port, "up")
