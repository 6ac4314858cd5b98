#!/usr/bin/env python3
"""What the script did that whose began with, by the same method: the kernel's
tables of sockets and the links of all descriptors, taken apart by regular
expressions and joined on the inode. Standard library only.

It prints one JSON document: each session with its processes, which is what a
Zabbix item was made of.
"""
import json
import os
import re
import socket
import struct

STATES = {
    "01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1", "05": "FIN_WAIT2",
    "06": "TIME_WAIT", "07": "CLOSE", "08": "CLOSE_WAIT", "09": "LAST_ACK", "0A": "LISTEN", "0B": "CLOSING",
}
ROW = re.compile(
    r"^\s*\d+:\s+([0-9A-F]+):([0-9A-F]{4})\s+([0-9A-F]+):([0-9A-F]{4})\s+([0-9A-F]{2})\s+"
    r"\S+\s+\S+\s+\S+\s+(\d+)\s+\d+\s+(\d+)"
)
SOCKET = re.compile(r"^socket:\[(\d+)\]$")
NAME = re.compile(r"^Name:\s+(.*)$", re.M)


def address(text):
    words = [int(text[i:i + 8], 16) for i in range(0, len(text), 8)]
    raw = b"".join(struct.pack("=I", w) for w in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def sessions():
    for proto in "tcp", "tcp6", "udp", "udp6":
        try:
            table = open("/proc/net/" + proto)
        except FileNotFoundError:
            continue
        with table:
            for line in table:
                m = ROW.match(line)
                if m:
                    local, lport, remote, rport, state, uid, inode = m.groups()
                    yield inode, {
                        "proto": proto, "local": address(local), "lport": int(lport, 16),
                        "remote": address(remote), "rport": int(rport, 16), "state": STATES.get(state, state),
                    }


def owners():
    held = {}
    for pid in os.listdir("/proc"):
        if not re.match(r"^\d+$", pid):
            continue
        try:
            descriptors = os.listdir("/proc/%s/fd" % pid)
        except OSError:
            continue
        name = None
        for fd in descriptors:
            try:
                m = SOCKET.match(os.readlink("/proc/%s/fd/%s" % (pid, fd)))
            except OSError:
                continue
            if not m:
                continue
            if name is None:
                try:
                    with open("/proc/%s/status" % pid, errors="replace") as status:
                        name = NAME.search(status.read()).group(1)
                except OSError:
                    break
            held.setdefault(m.group(1), []).append({"pid": int(pid), "name": name})
    return held


def main():
    held = owners()
    answer = []
    for inode, session in sessions():
        session["processes"] = held.get(inode, [])
        answer.append(session)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
