"""How many datagrams of a burst the kernel drops for want of receive buffer, before `sluice tune apply`, after it, and after `revert`.

    sudo python3 tests/appliance/burst.py target/release/sluice [PROFILE]

The server is held for 50 ms, as when another program has its cores, while 2,000 datagrams of 1,200 bytes arrive: what two hundred people
send in that time. It lowers net.core.rmem_max to the usual 212992 first, and puts back at the end what was there. Ends with 1 if
`tune` did not help, if `revert` did not bring the former values back, or if the server does not count what it loses.
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
METRIC = "sluice_worker_receive_overflows_total"
DATAGRAMS = 2_000
HELD_S = 0.05


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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def burst(binary):
    """Datagrams lost of one burst: by the kernel's count, and by the server's, which is read once a second."""
    http, private, media = free_port(), free_port(), free_port()
    settings = {
        "HTTP__LISTEN": f"127.0.0.1:{http}", "HTTP__LISTEN_TLS": "", "HTTP__PRIVATE": f"127.0.0.1:{private}",
        "MEDIA__PORT": str(media), "MEDIA__ADDRESSES": "127.0.0.1", "MEDIA__WORKERS": "1", "MEDIA__TCP_PORT": "0",
    }
    environment = dict(os.environ, **{f"SLUICE__{key}": value for key, value in settings.items()})
    server = subprocess.Popen([binary, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{private}/about/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        before = dropped()
        server.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(DATAGRAMS):
            sender.sendto(b"\0" * 1_200, ("127.0.0.1", media))
        time.sleep(max(0.0, HELD_S - (time.monotonic() - began)))
        server.send_signal(signal.SIGCONT)
        time.sleep(2.5)
        page = urllib.request.urlopen(f"http://127.0.0.1:{private}/metrics", timeout=5).read().decode()
        counted = sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(METRIC))
        return dropped() - before, int(counted)
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait(20)


def tune(binary, state, *arguments):
    said = subprocess.run([binary, "tune", *arguments, "--state", state], check=True, capture_output=True, text=True).stdout
    print("".join(f"  {line}\n" for line in said.splitlines()), end="")


def shown(when, burst):
    lost, counted = burst
    print(f"{when}: rmem_max {read(KEY)}: {lost} of {DATAGRAMS} dropped, {counted} by the server's own count")
    # Others on this machine may lose datagrams too.
    if counted > lost or (lost >= DATAGRAMS / 10 and counted < lost * 0.9):
        sys.exit("the server does not count what it loses")
    return lost


def main():
    binary, profile = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "shared"
    state = os.path.join(tempfile.mkdtemp(), "changes.json")
    found = read(KEY)
    try:
        write(KEY, USUAL)
        lost = [shown("before", burst(binary))]
        tune(binary, state, "apply", "--profile", profile)
        lost.append(shown("after apply", burst(binary)))
        tune(binary, state, "revert")
        lost.append(shown("after revert", burst(binary)))
        return 0 if lost[1] < min(lost[0], lost[2]) / 10 and read(KEY) == USUAL else 1
    finally:
        write(KEY, found)


if __name__ == "__main__":
    sys.exit(main())
