#!/usr/bin/env python3
"""Holds the links that are shaped in process against links that the kernel shapes.

Needs root, iproute2 and util-linux, and a release build: `cargo build --release -p bench-harness`. Everything happens
in network namespaces of this process, which are gone when it ends.

Two namespaces are connected, and each end sends through the kernel's queueing disciplines: netem, which knows rate
and delay, where the kernel has it; else tbf for the rate, on tun devices between which a process of this script holds
every packet for half a round trip. Across that link run, unshaped by our program:

* messages of one byte back and forth, and bulk transfer, up and in both directions at once
  (`sci-bench-party link`, raw bytes over TCP);
* inferences (`sci-bench-party serve` and `infer`, which are `sci-run`'s).

The same is run over the loopback of a namespace with the shaping in process. Both ways alternate, and medians are
compared. TCP may have all of a link at once (a large initial window, no return to slow start after a pause), as on
a connection that has been in use: the shaping in process models the wire and not TCP's congestion control. What the
kernel's defaults for windows make of the same link is measured too, and reported without a bound.

Writes results/netem_check.json and .md; exit code 1 if anything differs by more than the bound and by more than what the
machine resolves, 2 if it does not permit the check.
"""

import argparse
import collections
import json
import os
import platform
import select
import signal
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[2]
PROGRAM = WORKSPACE / "target/release/sci-bench-party"
DIGIT = str(WORKSPACE / "sci-run/assets/digits/inputs/00.png")
MARK = "SCI_NETEM_CHECK_INSIDE"
BOUND = 0.05

# Bytes a second and seconds there and back.
LINKS = {
    "lan": (377e6, 0.3e-3),
    "wan": (40e6, 80e-3),
    "lan-cheetah": (375e6, 0.3e-3),
    "wan-cheetah": (50e6, 40e-3),
}
# Large packets: at 1500 bytes, headers alone would take 4 % of the rate.
MTU = 60_000
# What a queue may hold: no packet is to be lost.
QUEUE_BYTES = 256 << 20
# Of TCP, beyond what any of the links has under way.
WINDOW = 16 << 20
ADDRESSES = ("10.73.0.1", "10.73.0.2")

# What is run beside raw bytes: name, inputs, options. One input where round trips take long.
INFERENCES = {
    "inference, silent OT and lattices": [],
    "inference, IKNP alone": ["--backend", "ot", "--ot", "iknp"],
}
FIGURES = ["least round trip", "bulk up", "bulk both ways", *INFERENCES]


class NotPermitted(Exception):
    """The machine does not let us."""


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise NotPermitted(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


def enter_own_namespaces():
    """Starts this script again in network and mount namespaces of its own."""
    if os.environ.get(MARK):
        return
    if os.geteuid() != 0:
        raise NotPermitted("network namespaces need root")
    os.environ[MARK] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def set_up_namespaces():
    """Two named namespaces, hidden from the rest of the system."""
    os.makedirs("/run/netns", exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    for name in ("left", "right", "plain"):
        run("ip", "netns", "add", name)
        inside(name, "ip", "link", "set", "lo", "up")
        # Writing to /proc/sys/net affects the namespace of who writes.
        for key, value in {
            "tcp_rmem": f"4096 {WINDOW} {WINDOW}",
            "tcp_wmem": f"4096 {WINDOW} {WINDOW}",
            "tcp_slow_start_after_idle": "0",
            "tcp_no_metrics_save": "1",
        }.items():
            sysctl(name, key, value)


def sysctl(namespace, key, value):
    inside(namespace, "sh", "-c", f'echo "{value}" > /proc/sys/net/ipv4/{key}')


def inside(namespace, *command, **options):
    return run("ip", "netns", "exec", namespace, *command, **options)


def has_netem():
    done = run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms", check=False)
    if done.returncode == 0:
        run("tc", "qdisc", "del", "dev", "lo", "root")
    return done.returncode == 0


class Relay:
    """A process that carries packets from one tun device to the other, each `delay` seconds late."""

    def __init__(self, source, sink, delay):
        self.process = os.fork()
        if self.process == 0:
            try:
                self.carry(source, sink, delay)
            finally:
                os._exit(1)

    @staticmethod
    def carry(source, sink, delay):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # So that a packet leaves at its time and not when a core happens to be free.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
        waiting = collections.deque()
        clock = time.perf_counter
        while True:
            wait = max(0.0, waiting[0][0] - clock()) if waiting else None
            # So many packets are only there if nobody reads: the sender is held back.
            if select.select([source], [], [], wait)[0]:
                try:
                    while len(waiting) < 100_000:
                        packet = os.read(source, MTU + 64)
                        waiting.append((clock() + delay, packet))
                        if waiting[0][0] <= clock():
                            break
                except BlockingIOError:
                    pass
            while waiting and waiting[0][0] <= clock():
                os.write(sink, waiting.popleft()[1])

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        os.kill(self.process, signal.SIGTERM)
        os.waitpid(self.process, 0)


class Tun:
    """A tun device, held open by this process, in a namespace."""

    def __init__(self, name, namespace, address):
        import fcntl

        set_interface, no_information, tun = 0x400454CA, 0x1000, 0x0001
        self.file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", name.encode(), no_information | tun)
        fcntl.ioctl(self.file, set_interface, request)
        run("ip", "link", "set", name, "netns", namespace)
        inside(namespace, "ip", "addr", "add", f"{address}/30", "dev", name)
        inside(namespace, "ip", "link", "set", name, "mtu", str(MTU), "txqueuelen", "10000", "up")

    def close(self):
        os.close(self.file)


class KernelLink:
    """The link between the namespaces `left` and `right`."""

    def __init__(self, rate, rtt, netem):
        # Twice what is under way, in packets.
        self.initial_window = str(max(16, int(2 * rate * rtt / MTU)))
        self.relays, self.tuns = [], []
        bits = f"{int(rate * 8)}bit"
        if netem:
            self.devices = ("veth-left", "veth-right")
            run("ip", "link", "add", "veth-left", "type", "veth", "peer", "name", "veth-right")
            for device, namespace, address in zip(self.devices, ("left", "right"), ADDRESSES):
                run("ip", "link", "set", device, "netns", namespace)
                inside(namespace, "ip", "addr", "add", f"{address}/30", "dev", device)
                inside(namespace, "ip", "link", "set", device, "mtu", str(MTU), "up")
                half = f"{int(rtt / 2 * 1e6)}us"
                self.shape(namespace, device, "netem", "delay", half, "rate", bits, "limit", "200000")
            self.how = f"veth, netem delay {half} rate {bits}"
            return
        self.devices = ("tun-left", "tun-right")
        for device, namespace, address in zip(self.devices, ("left", "right"), ADDRESSES):
            self.tuns.append(Tun(device, namespace, address))
            # A burst of a millisecond, as much as the disciplines of this rate need at least.
            burst = max(2 * MTU, int(rate / 1000))
            self.shape(namespace, device, "tbf", "rate", bits, "burst", str(burst), "limit", str(QUEUE_BYTES))
        self.delay(rtt / 2)
        # What a packet takes beside the delay is taken off it, so that the kernel sees the nominal round trip.
        for _ in range(6):
            excess = self.kernel_rtt() - rtt
            if abs(excess) < 0.01 * rtt:
                break
            self.delay(max(0.0, self.half - excess / 2))
        self.how = (f"tun, tbf rate {bits} burst {burst}, delay {self.half * 1e6:.0f} us in user space; round trip of a "
                    f"connection's first packet {self.kernel_rtt() * 1e6:.0f} us")

    def shape(self, namespace, device, *discipline):
        inside(namespace, "tc", "qdisc", "add", "dev", device, "root", *discipline)

    def delay(self, half):
        self.half = half
        for relay in self.relays:
            relay.stop()
        left, right = self.tuns
        self.relays = [Relay(left.file, right.file, half), Relay(right.file, left.file, half)]

    def windows(self, large):
        """Whether a connection may send all at once, or begins as the kernel's defaults say."""
        for device, namespace in zip(self.devices, ("left", "right")):
            size = ("initcwnd", self.initial_window, "initrwnd", self.initial_window) if large else ()
            inside(namespace, "ip", "route", "replace", "10.73.0.0/30", "dev", device, *size)
            sysctl(namespace, "tcp_slow_start_after_idle", "0" if large else "1")

    @staticmethod
    def kernel_rtt():
        """What the kernel itself measures between a connection's first packet and its answer, at the least."""
        script = f"""
import socket
rtt_at, found = 68, []
for _ in range(200):
    with socket.create_connection(("{ADDRESSES[0]}", 7799), 5) as s:
        found.append(int.from_bytes(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[rtt_at:rtt_at+4], "little"))
print(min(found))
"""
        listen = 'import socket,time\nl=socket.create_server(("0.0.0.0",7799),backlog=99)\nprint(flush=True)\n' \
                 "while True: l.accept()"
        command = ["ip", "netns", "exec", "left", sys.executable, "-c", listen]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            server.stdout.readline()
            try:
                return float(inside("right", sys.executable, "-c", script).stdout) * 1e-6
            finally:
                server.kill()

    def cpu_seconds(self):
        """What the relays have computed, on cores that the parties could have had."""
        return sum(relay.cpu_seconds() for relay in self.relays)

    def remove(self):
        for relay in self.relays:
            relay.stop()
        for tun in self.tuns:
            tun.close()
        if not self.tuns:
            inside("left", "ip", "link", "del", self.devices[0])


def probe(shape, address, rate, rtt, seconds):
    return json.dumps({
        "shape": shape,
        "listen": f"{address}:0",
        "ping_pongs": max(11, min(1500, int(0.5 / rtt))),
        "bytes": int(rate * seconds),
    })


def raw(namespaces, address, shape, rate, rtt, seconds):
    """Raw bytes between two namespaces, shaped in process or not."""
    what = probe(shape, address, rate, rtt, seconds)
    prefix = [["ip", "netns", "exec", namespace, str(PROGRAM), "link"] for namespace in namespaces]
    with subprocess.Popen([*prefix[0], "server", what], stdout=subprocess.PIPE, text=True) as server:
        try:
            where = server.stdout.readline().strip()
            done = subprocess.run([*prefix[1], "client", what, where], capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                raise RuntimeError(f"link client: {done.stderr.strip()}")
            found = json.loads(done.stdout)
        finally:
            server.kill()
    return {
        # The median of a short round trip tells how late the machine wakes processes up, not what the link takes.
        "least round trip": min(found["ping_pongs"]),
        "bulk up": found["upload"],
        "bulk both ways": found["duplex"],
    }


def inference_by_kernel(link, options, inputs):
    """Server and client in two namespaces, nothing shaped by the program."""
    options = ["--threads", "1", "--insecure-plaintext", *options]
    prefix = [["ip", "netns", "exec", namespace, str(PROGRAM)] for namespace in ("left", "right")]
    serve = [*prefix[0], "serve", "digits", "--once", "--listen", f"{ADDRESSES[0]}:0", "--link", link, *options]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            where = next((line.split()[-1] for line in server.stderr if line.startswith("listening on ")), None)
            if where is None:
                raise RuntimeError("the server ended without listening")
            return reported([*prefix[1], "infer", *inputs, "--connect", where, "--json", *options])
        finally:
            server.kill()


def inference_in_process(link, options, inputs):
    """A local run over loopback, shaped by the program."""
    command = ["ip", "netns", "exec", "plain", str(PROGRAM), "--model", "digits", "--input", *inputs]
    return reported([*command, "--link", link, "--threads", "1", "--json", *options])


def reported(command):
    """Seconds of offline and online phase of an input, as the client has them; what must not differ between links."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    report = json.loads(done.stdout)
    classes = [prediction["class"] for prediction in report["predictions"]]
    seconds = (report["seconds"]["offline"] + report["seconds"]["online"]) / len(classes)
    # Without the set-up, which names the link.
    return seconds, classes, report["rounds"], report["bytes"]["total"] - report["bytes"]["setup"]


def measure(name, netem, runs, seconds):
    """All figures of one link: by the kernel, in process, and by the kernel with its default windows."""
    rate, rtt = LINKS[name]
    link = KernelLink(rate, rtt, netem)
    ways = {"kernel": [], "in_process": [], "kernel_default_windows": []}
    facts, relayed = {}, {}
    inputs = [DIGIT] if rtt > 0.01 else ["digits"]
    try:
        for number in range(runs):
            for way, found in ways.items():
                link.windows(large=way != "kernel_default_windows")
                ours = way == "in_process"
                where = (("plain", "plain"), "127.0.0.1", name) if ours else (("left", "right"), ADDRESSES[0], "loopback")
                print(f"{name}: run {number + 1} of {runs}, {way.replace('_', ' ')}", file=sys.stderr, flush=True)
                figures = raw(*where, rate, rtt, seconds)
                for what, options in INFERENCES.items():
                    infer = inference_in_process if ours else inference_by_kernel
                    before = link.cpu_seconds()
                    figures[what], *fact = infer(name, options, inputs)
                    if facts.setdefault(what, fact) != fact:
                        raise RuntimeError(f"{what}: {fact} over this link, {facts[what]} over another")
                    if way == "kernel":
                        taken = (link.cpu_seconds() - before) / len(fact[0])
                        relayed[what] = min(taken, relayed.get(what, taken))
                found.append(figures)
    finally:
        link.remove()
    lines = []
    for figure in FIGURES:
        at = {way: [run[figure] for run in found] for way, found in ways.items()}
        medians = {way: statistics.median(values) for way, values in at.items()}
        # The least is what the link takes; the rest is what else the machine was doing.
        least = {way: min(values) for way, values in at.items()}
        lines.append({
            "link": name,
            "figure": figure,
            "seconds": at,
            "medians": medians,
            "difference": medians["in_process"] / medians["kernel"] - 1,
            "difference_of_least": least["in_process"] / least["kernel"] - 1,
        })
    # Rounds of one input, and what the relays took from the parties.
    wakings = {what: (rounds / len(classes), relayed[what]) for what, (classes, rounds, _) in facts.items()}
    return link.how, lines, wakings


def lateness():
    """Seconds by which this machine, busy as it is, wakes a sleeper up too late: the median."""
    late, nap = [], 150e-6
    for _ in range(400):
        start = time.perf_counter()
        select.select([], [], [], nap)
        late.append(time.perf_counter() - start - nap)
    return statistics.median(late)


def commit():
    done = subprocess.run(["git", "-C", WORKSPACE, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(["git", "-C", WORKSPACE, "status", "--porcelain", "--", ":(top)", ":(top,exclude)results"],
                             capture_output=True, text=True)
    return (done.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")


def machine():
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"processor": names[0] if names else "", "cores": os.cpu_count(),
            "system": f"linux {platform.release()}", "load": os.getloadavg()[0]}


def markdown(result):
    shaped = ("netem" if result["netem"] else
              "tbf for the rate; this kernel has no netem, so a process holds packets for half a round trip")
    least = "Least" if result["by_least"] else "Medians"
    verdicts = {"within": "yes", "not resolved": "not resolved", "beyond": "**no**"}
    first = " All processes of the check had precedence over others of the machine." if result["first"] else ""
    out = [
        "# Links shaped in process beside links shaped by the kernel",
        "",
        "Written by `bench-harness/scripts/netem_check.py`; do not edit. TCP between two network namespaces, shaped by "
        f"the kernel ({shaped}), beside the shaping in process that all tables use. {least} of {result['runs']} runs, "
        f"alternating.{first} Seconds: of one message there and back, of the bytes of {result['seconds']} s, of one inference "
        f"(digits; offline and online). Bound: {100 * BOUND:.0f} %.",
        "",
        "| link | figure | kernel | in process | difference | within 5 % | kernel, default windows |",
        "|---|---|---:|---:|---:|---|---:|",
    ]
    for line in result["lines"]:
        at = line["shown"]
        out.append(f"| {line['link']} | {line['figure']} | {at['kernel']:.6g} | {at['in_process']:.6g} | "
                   f"{100 * line['held']:+.1f} % | {verdicts[line['verdict']]} | {at['kernel_default_windows']:.6g} |")
    count = collections.Counter(line["verdict"] for line in result["lines"])
    out += [
        "",
        f"{count['within']} of {len(result['lines'])} within the bound, {count['not resolved']} not resolved, "
        f"{count['beyond']} beyond it. *Not resolved*: the difference is below what waking up takes, "
        f"{1e6 * result['lateness']:.0f} us on this machine as busy as it was, once for every message that is waited for, "
        "and what the process that delays packets took of the cores, which the parties then lack.",
        "",
        "The last column is the same kernel link with TCP's defaults: a connection begins with ten packets under way and "
        "returns to that after a pause. The shaping in process models the wire alone.",
        "",
        *(f"* {name}: {how}" for name, how in result["how"].items()),
        "",
        f"Commit {result['commit']}. {result['machine']['processor']}, {result['machine']['cores']} cores, "
        f"{result['machine']['system']}; load average {result['machine']['load']:.2f}.",
        "",
    ]
    return "\n".join(out)


def main():
    global PROGRAM
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each way over each link")
    parser.add_argument("--seconds", type=float, default=1.0, help="of sending in a bulk transfer")
    parser.add_argument("--link", action="append", choices=list(LINKS), help="only this one")
    parser.add_argument("--results", type=Path, default=WORKSPACE / "results", help="where to write")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the build of sci-bench-party that is measured")
    parser.add_argument("--first", action="store_true",
                        help="give all that is measured precedence over other processes: for a busy machine")
    parser.add_argument("--least", action="store_true",
                        help="hold the least of all runs to the bound instead of medians: for a busy machine")
    arguments = parser.parse_args()
    PROGRAM = arguments.program.resolve()
    if not PROGRAM.exists():
        raise NotPermitted(f"{PROGRAM}: build it first: cargo build --release -p bench-harness")
    enter_own_namespaces()
    if arguments.first:
        # Inherited by all that is started from here.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    set_up_namespaces()
    netem = has_netem()
    result = {"schema": 1, "netem": netem, "runs": arguments.runs, "by_least": arguments.least, "first": arguments.first, "seconds": arguments.seconds, "bound": BOUND,
              "machine": machine(), "commit": commit(), "lateness": 0.0, "how": {}, "lines": []}
    facts = {}
    for name in arguments.link or LINKS:
        result["lateness"] = max(result["lateness"], lateness())
        how, lines, facts[name] = measure(name, netem, arguments.runs, arguments.seconds)
        result["how"][name] = how
        for line in lines:
            # A difference below what waking up takes, once for each message that is waited for, and below what the relays
            # took of the cores, says nothing about links.
            wakings, relayed = facts[name].get(line["figure"], (2, 0.0))
            line["resolution"] = wakings * result["lateness"] + relayed
            line["held"] = line["difference_of_least" if arguments.least else "difference"]
            pick = min if arguments.least else statistics.median
            line["shown"] = {way: pick(values) for way, values in line["seconds"].items()}
            excess = abs(line["shown"]["in_process"] - line["shown"]["kernel"])
            line["verdict"] = ("within" if abs(line["held"]) <= BOUND else
                               "not resolved" if excess <= line["resolution"] else "beyond")
            print(f"{name}: {line['figure']}: {100 * line['held']:+.1f} %", file=sys.stderr, flush=True)
        result["lines"] += lines
    result["machine"]["load"] = os.getloadavg()[0]
    result["within_bound"] = all(line["verdict"] != "beyond" for line in result["lines"])
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "netem_check.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.results / "netem_check.md").write_text(markdown(result))
    return 0 if result["within_bound"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotPermitted as why:
        print(f"not possible here: {why}", file=sys.stderr)
        sys.exit(2)
