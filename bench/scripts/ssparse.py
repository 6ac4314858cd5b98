#!/usr/bin/env python3
"""What many Zabbix scripts do: run ss -tunap, take its lines apart, count.

It prints one JSON document: sessions by state, and by process and state.
Standard library only. The path of ss may be given.
"""
import json
import re
import subprocess
import sys

PROCESS = re.compile(r'\("([^"]*)",pid=(\d+),fd=\d+\)')


def main():
    ss = sys.argv[1] if len(sys.argv) > 1 else "ss"
    states, processes, listeners = {}, {}, []
    run = subprocess.Popen([ss, "-H", "-tunap"], stdout=subprocess.PIPE, text=True, errors="replace")
    for line in run.stdout:
        words = line.split(None, 6)
        if len(words) < 6:
            continue
        proto, state, local = words[0], words[1], words[4]
        states[proto + " " + state] = states.get(proto + " " + state, 0) + 1
        names = sorted({name for name, _ in PROCESS.findall(words[6])}) if len(words) > 6 else []
        for name in names:
            counts = processes.setdefault(name, {})
            counts[state] = counts.get(state, 0) + 1
        if state in ("LISTEN", "UNCONN"):
            listeners.append({"proto": proto, "local": local, "processes": names})
    if run.wait() != 0:
        sys.exit("ss: exit status %d" % run.returncode)
    print(json.dumps({"states": states, "processes": processes, "listeners": listeners}))


if __name__ == "__main__":
    main()
