"""line.py SPACE NUMBER SEED DELAY_MS JITTER_MS LOSS DUPLICATE MBIT - a line to a network namespace, as bad as it is told to be.

What `tc netem` does, for kernels that are built without it: packets wait, are lost, come twice, and overtake each other where they
wait for differently long. LOSS and DUPLICATE are shares of 1; MBIT 0 is no limit. Says "ready", and ends with its input.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

space, number, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
delay, jitter, loss, duplicate, mbit = map(float, sys.argv[4:9])
chance = random.Random(seed)
QUEUE_MAX = 1000  # packets, as netem has


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH", name.encode(), 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
    return fd


def sh(words):
    subprocess.run(words.split(), check=True)


near, far = f"dn{space[5:]}", f"df{space[5:]}"
fds = [tun(near), tun(far)]
sh(f"ip link set {far} netns {space}")
sh(f"ip addr add 10.213.{number}.1/30 dev {near}")
sh(f"ip link set {near} up")
sh(f"ip -n {space} addr add 10.213.{number}.2/30 dev {far}")
sh(f"ip -n {space} link set {far} up")
sh(f"ip -n {space} link set lo up")
print("ready", flush=True)

waiting, order, free = [], 0, [0.0, 0.0]
while True:
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, _, to, packet = heapq.heappop(waiting)
        try:
            os.write(fds[to], packet)
        except OSError:
            pass  # Its queue is full: lost, as on any line.
    patience = max(0.0, waiting[0][0] - now) if waiting else None
    ready, _, _ = select.select([*fds, sys.stdin], [], [], patience)
    if sys.stdin in ready:
        break
    for fd in ready:
        to = 1 - fds.index(fd)
        try:
            packet = os.read(fd, 65536)
        except BlockingIOError:
            continue
        if chance.random() < loss or len(waiting) >= QUEUE_MAX:
            continue
        now = time.monotonic()
        for _ in range(2 if chance.random() < duplicate else 1):
            begins = now
            if mbit:
                begins = free[to] = max(now, free[to]) + len(packet) * 8 / (mbit * 1e6)
            order += 1
            due = begins + (delay + chance.uniform(-jitter, jitter)) / 1000
            heapq.heappush(waiting, (due, order, to, packet))
