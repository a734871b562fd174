"""A STUN server (RFC 8489) as if a translation lay between, and a time server (RFC 4330) whose clock is an hour behind: for planted faults.

    python3 answers.py ADDRESS STUN_PORT NTP_PORT MAPPED_ADDRESS
"""

import select
import socket
import struct
import sys
import time

COOKIE = 0x2112A442


def stun(question, peer):
    """A success answer with XOR-MAPPED-ADDRESS."""
    if len(question) < 20 or question[:2] != b"\x00\x01":
        return None
    port = peer[1] ^ (COOKIE >> 16)
    address = struct.unpack("!I", socket.inet_aton(sys.argv[4]))[0] ^ COOKIE
    attribute = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, port, address)
    return struct.pack("!HHI", 0x0101, len(attribute), COOKIE) + question[8:20] + attribute


def ntp(question, _peer):
    """An answer that gives the asker's transmit time back and is an hour behind."""
    if len(question) < 48:
        return None
    seconds = time.time() - 3600 + 2208988800
    stamp = struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))
    return b"\x24\x01\x00\xec" + bytes(20) + question[40:48] + stamp + stamp


def main():
    address, ports = sys.argv[1], [int(port) for port in sys.argv[2:4]]
    answers = {}
    for port, answer in zip(ports, (stun, ntp)):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((address, port))
        answers[opened] = answer
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for ready in select.select(list(answers), [], [], 1)[0]:
            question, peer = ready.recvfrom(2048)
            answer = answers[ready](question, peer)
            if answer:
                ready.sendto(answer, peer)


main()
