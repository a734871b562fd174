"""How many datagrams of a burst the kernel drops for want of receive buffer, before `sluice tune apply`, after it, and after `revert`.

    sudo python3 tests/appliance/burst.py target/release/sluice

The server is held for 50 ms, as when another program has its cores, while 2,000 datagrams of 1,200 bytes arrive: what two hundred people
send in that time. It lowers net.core.rmem_max to the usual 212992 first, and puts back at the end what was there.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

KEY = "/proc/sys/net/core/rmem_max"
USUAL = "212992"
DATAGRAMS = 2_000
HELD_S = 0.05
PORTS = {"HTTP__LISTEN": "127.0.0.1:26101", "HTTP__LISTEN_TLS": "", "HTTP__PRIVATE": "127.0.0.1:26103"}
MEDIA = 26104


def read(path):
    with open(path) as file:
        return file.read().strip()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def dropped():
    """RcvbufErrors of all UDP sockets."""
    names, values = [line.split() for line in read("/proc/net/snmp").splitlines() if line.startswith("Udp:")]
    return int(values[names.index("RcvbufErrors")])


def burst(binary):
    """Datagrams lost of one burst."""
    environment = dict(os.environ, SLUICE__MEDIA__PORT=str(MEDIA), SLUICE__MEDIA__ADDRESSES="127.0.0.1", SLUICE__MEDIA__WORKERS="1", SLUICE__MEDIA__TCP_PORT="0")
    environment.update({f"SLUICE__{key}": value for key, value in PORTS.items()})
    server = subprocess.Popen([binary, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen("http://127.0.0.1:26103/about/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        before = dropped()
        server.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(DATAGRAMS):
            sender.sendto(b"\0" * 1_200, ("127.0.0.1", MEDIA))
        time.sleep(max(0.0, HELD_S - (time.monotonic() - began)))
        server.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        return dropped() - before
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait(20)


def main():
    binary = sys.argv[1]
    state = os.path.join(tempfile.mkdtemp(), "changes.json")
    found = read(KEY)
    try:
        write(KEY, USUAL)
        print(f"before: rmem_max {read(KEY)}: {burst(binary)} of {DATAGRAMS} dropped")
        said = subprocess.run([binary, "tune", "apply", "--profile", "shared", "--state", state], check=True, capture_output=True, text=True).stdout
        print("".join(f"  {line}\n" for line in said.splitlines()), end="")
        print(f"after apply: rmem_max {read(KEY)}: {burst(binary)} of {DATAGRAMS} dropped")
        said = subprocess.run([binary, "tune", "revert", "--state", state], check=True, capture_output=True, text=True).stdout
        print("".join(f"  {line}\n" for line in said.splitlines()), end="")
        print(f"after revert: rmem_max {read(KEY)}: {burst(binary)} of {DATAGRAMS} dropped")
    finally:
        write(KEY, found)


if __name__ == "__main__":
    main()
