"""A stream of small numbered UDP packets at a fixed rate, both ways between two ends that each run this; counts what was lost on the way.

Usage: paced.py OWN PEER PORT RATE [SECONDS]. Prints `running` when both ends hear each other, and after SECONDS, or on SIGTERM, one line of JSON:
sent, and elapsed, the seconds that it took; received, lost, duplicates, reordered of the other end's packets; longest_ms, the longest time without one; gaps, the first ones lost: [number, how many, Unix time].

A packet is type (1 byte: hello, data, end, heard) and number (8 bytes). Both ends greet, and tell whether they have been greeted, until they know that they are heard: no packet is sent before its way is open; at
the end each tells how many it has sent until that is heard.
"""

import json
import select
import signal
import socket
import struct
import sys
import time

HELLO, DATA, END, HEARD = range(4)
PACKET = struct.Struct("!BQ")
GREETING_EVERY, GREETING_LIMIT, END_LIMIT, BURST = 0.02, 20, 2, 64

own, peer, port, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
seconds = float(sys.argv[5]) if len(sys.argv) > 5 else float("inf")
udp = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
# SO_RCVBUFFORCE: what is lost must be lost on the way, not here.
udp.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
udp.bind((own, port))
udp.connect((peer, port))
udp.setblocking(False)

stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)


def send(kind, number):
    try:
        udp.send(PACKET.pack(kind, number))
    except OSError:
        pass  # an ICMP error of an earlier packet, or no buffer: counted by the other end as lost


seen = set()
count = {"received": 0, "duplicates": 0, "reordered": 0}
next_number = 0
last_heard = longest = 0.0
gaps = []
greeted = understood = end_heard = False
expected = None


def received(kind, number, now):
    global next_number, last_heard, longest, greeted, understood, end_heard, expected
    greeted = True
    # Who sends anything else than an unanswered greeting has heard ours.
    understood = understood or kind != HELLO or number == 1
    if kind == HELLO:
        return
    if kind == END:
        expected = number
        send(HEARD, 0)
        return
    if kind == HEARD:
        end_heard = True
        return
    if last_heard:
        longest = max(longest, now - last_heard)
    last_heard = now
    if number >= next_number:
        if number > next_number:
            gaps.append([next_number, number - next_number, time.time()])
        next_number = number + 1
    else:
        count["reordered"] += 1
    if number in seen:
        count["duplicates"] += 1
    else:
        seen.add(number)
        count["received"] += 1


def drain(timeout):
    """Takes what has come, waiting up to `timeout` seconds for the first."""
    if not select.select([udp], [], [], max(0, timeout))[0]:
        return
    for _ in range(256):
        try:
            packet = udp.recv(64)
        except BlockingIOError:
            return
        except OSError:
            continue
        if len(packet) == PACKET.size:
            received(*PACKET.unpack(packet), time.monotonic())


limit = time.monotonic() + GREETING_LIMIT
while not understood:
    if stopping or time.monotonic() > limit:
        sys.exit(f"{peer} {'does not hear us' if greeted else 'is not heard'}")
    send(HELLO, int(greeted))
    drain(GREETING_EVERY)
for _ in range(5):
    send(HELLO, 1)
print("running", flush=True)

start = time.monotonic()
sent = 0
while not stopping and (now := time.monotonic()) - start < seconds:
    for _ in range(min(BURST, int((now - start) * rate) - sent)):
        send(DATA, sent)
        sent += 1
    drain(start + (sent + 1) / rate - time.monotonic())

elapsed = time.monotonic() - start

limit = time.monotonic() + END_LIMIT
while not (end_heard and expected is not None) and time.monotonic() < limit:
    send(END, sent)
    drain(GREETING_EVERY)
# What the other end sent before its END has come, unless it was overtaken.
until = time.monotonic() + 0.1
while time.monotonic() < until:
    drain(until - time.monotonic())
total = expected if expected is not None else next_number
print(json.dumps({"sent": sent, "elapsed": round(elapsed, 3), "lost": total - len(seen), **count, "longest_ms": round(longest * 1000, 1), "gaps": gaps[:10], "ended": expected is not None}), flush=True)
