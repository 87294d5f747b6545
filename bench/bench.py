"""Drives the measurements of script/bench: see there."""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# name, what is asked, connections, in flight, what the issue asked to reach (per second, on two cores with the load)
ROWS = (
    ("get, 1 connection, 1 in flight", "get", 1, 1, None),
    ("get, 16 connections, 8 in flight", "get", 16, 8, None),
    ("get, 256 connections, 8 in flight", "get", 256, 8, 60000),
    ("create, 256 connections, 8 in flight", "create", 256, 8, 15000),
    ("encrypt 1 KiB, 256 connections, 8 in flight", "encrypt", 256, 8, None),
    ("sign ECDSA P-256, 256 connections, 8 in flight", "sign", 256, 8, None),
    ("HMAC-SHA-256 of 1 KiB, 256 connections, 8 in flight", "mac", 256, 8, None),
    ("32 random bytes, 256 connections, 8 in flight", "random", 256, 8, None),
    ("full handshakes, 16 connections", "handshake", 16, 1, None),
)

HEADER = """<RequestMessage><RequestHeader><ProtocolVersion>
<ProtocolVersionMajor type="Integer" value="2"/><ProtocolVersionMinor type="Integer" value="1"/>
</ProtocolVersion><BatchCount type="Integer" value="1"/></RequestHeader><BatchItem>
<Operation type="Enumeration" value="%s"/><RequestPayload>%s</RequestPayload></BatchItem></RequestMessage>
"""
CREATE = """<ObjectType type="Enumeration" value="SymmetricKey"/><Attributes>
<CryptographicAlgorithm type="Enumeration" value="AES"/><CryptographicLength type="Integer" value="256"/>
<CryptographicUsageMask type="Integer" value="Encrypt Decrypt"/></Attributes>"""
ENCRYPT = """<UniqueIdentifier type="TextString" value="%s"/><CryptographicParameters>
<BlockCipherMode type="Enumeration" value="GCM"/><RandomIV type="Boolean" value="true"/>
<TagLength type="Integer" value="16"/></CryptographicParameters><Data type="ByteString" value="%s"/>"""

SIGN = """<UniqueIdentifier type="TextString" value="%s"/><CryptographicParameters>
<DigitalSignatureAlgorithm type="Enumeration" value="ECDSAWithSHA256"/></CryptographicParameters>
<Data type="ByteString" value="%s"/>"""
MAC = """<UniqueIdentifier type="TextString" value="%s"/><CryptographicParameters>
<CryptographicAlgorithm type="Enumeration" value="HMAC_SHA256"/></CryptographicParameters>
<Data type="ByteString" value="%s"/>"""
RANDOM = """<DataLength type="Integer" value="32"/>"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bench:
    def __init__(self, options):
        self.options = options
        self.build = pathlib.Path(options.build)
        self.keystead = self.build / "keystead"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="keystead-bench-", dir=options.tmp))
        self.dir = self.root / "instance"
        self.port = free_port()

    def command(self, *words, **how):
        return subprocess.run([str(self.keystead), *map(str, words)], check=True, capture_output=True,
                              env={**os.environ, "KEYSTEAD_DIR": str(self.dir)}, **how).stdout

    @contextlib.contextmanager
    def process(self, *words, ready=None):
        with open(self.root / "log", "ab") as log:
            child = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=log,
                                     start_new_session=True)
        try:
            line = child.stdout.readline().decode()
            if ready not in line:
                raise SystemExit("%s did not start: %s" % (words[0], (self.root / "log").read_text()[-2000:]))
            yield child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            child.stdout.close()

    def encode(self, operation, payload):
        return self.command("ttlv", "--to", "ttlv", input=(HEADER % (operation, payload)).encode())

    def several(self, name, operation, payloads):
        path = self.root / ("%s.ttlv" % name)
        path.write_bytes(b"".join(self.encode(operation, payload) for payload in payloads))
        return path

    def message(self, operation, payload):
        path = self.root / ("%s.ttlv" % operation.lower())
        path.write_bytes(self.command("ttlv", "--to", "ttlv", input=(HEADER % (operation, payload)).encode()))
        return path

    def prepare(self):
        self.command("init", self.dir, "--kmip", "127.0.0.1:%d" % self.port)

    def requests(self):
        """TTLV files of what is asked, for objects of the running server."""
        uids = []
        for number in range(64):
            made = json.loads(self.command("key", "create", "bench-%d" % number, "--json"))
            uids.append(made["identifier"])
        get = self.root / "get.ttlv"
        get.write_bytes(b"".join(
            self.message("Get", '<UniqueIdentifier type="TextString" value="%s"/>' % uid).read_bytes()
            for uid in uids))
        pair = json.loads(self.command("key", "create", "bench-pair", "--algorithm", "ec", "--curve", "p-256", "--json"))
        mac = json.loads(self.command("key", "create", "bench-mac", "--algorithm", "hmac-sha256", "--json"))["identifier"]
        return {
            "sign": self.message("Sign", SIGN % (pair["private_identifier"], os.urandom(64).hex())),
            "mac": self.message("MAC", MAC % (mac, os.urandom(1024).hex())),
            "random": self.message("RNGRetrieve", RANDOM),
            "get": get,
            "create": self.message("Create", CREATE),
            "encrypt": self.message("Encrypt", ENCRYPT % (uids[0], os.urandom(1024).hex())),
        }

    def load(self, port, pid, what, connections, depth, files):
        words = [self.build / "bench" / "bench_load", "--dir", self.dir, "--connect", "127.0.0.1:%d" % port,
                 "--connections", connections, "--depth", depth, "--seconds", self.options.seconds,
                 "--pid", pid]
        words += ["--handshakes"] if what == "handshake" else ["--request", files[what]]
        done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        if figures.get("failed") or figures.get("lost_connections"):
            raise SystemExit("%s: %s" % (what, done.stdout))
        return figures

    def response_sizes(self, files):
        """How long an answer to each request is: the floor sends as many bytes."""
        sizes = {"handshake": 200}
        for what, path in files.items():
            sizes[what] = self.load(self.port, os.getpid(), what, 1, 1, files)["answer_bytes"]
        return sizes

    def run(self):
        rows = [row for row in ROWS if self.options.only in row[0]]
        results = []
        self.prepare()
        with self.process(self.keystead, "server", "--dir", self.dir, ready="ready") as pid:
            files = self.requests()
            seconds, self.options.seconds = self.options.seconds, 1
            sizes = self.response_sizes(files)
            self.options.seconds = seconds
            for name, what, connections, depth, goal in rows:
                port = free_port()
                pairs = []
                with self.process(self.build / "bench" / "bench_floor", "--dir", self.dir, "--listen",
                                  "127.0.0.1:%d" % port, "--response", sizes[what], "--processes",
                                  os.cpu_count(), ready="ready") as floor:
                    for _ in range(self.options.rounds):
                        pairs.append((self.load(port, floor, what, connections, depth, files),
                                      self.load(self.port, pid, what, connections, depth, files)))
                results.append(self.row(name, goal, pairs))
                print(self.line(results[-1]), flush=True)
        return results

    @staticmethod
    def row(name, goal, pairs):
        def middle(side, field):
            return statistics.median(pair[side][field] for pair in pairs)
        return {
            "name": name, "goal": goal,
            "floor_per_s": middle(0, "per_second"), "keystead_per_s": middle(1, "per_second"),
            "floor_cpu_us": middle(0, "server_cpu_us"), "keystead_cpu_us": middle(1, "server_cpu_us"),
            "p50_us": middle(1, "p50_us"), "p99_us": middle(1, "p99_us"),
            "ratio": statistics.median(pair[1]["per_second"] / pair[0]["per_second"] for pair in pairs),
            "lowest": min(pair[1]["per_second"] for pair in pairs),
            "highest": max(pair[1]["per_second"] for pair in pairs),
        }

    @staticmethod
    def line(row):
        return "%-44s %9.0f %9.0f %6.2f %8.1f %8.1f %8.0f %8.0f %8s" % (
            row["name"], row["floor_per_s"], row["keystead_per_s"], row["ratio"], row["floor_cpu_us"],
            row["keystead_cpu_us"], row["p50_us"], row["p99_us"],
            "" if row["goal"] is None else "%d%%" % (100 * row["keystead_per_s"] / row["goal"]))


LOCATE_NAME = """<Attributes><Name><NameValue type="TextString" value="bench-%d"/>
<NameType type="Enumeration" value="UninterpretedTextString"/></Name></Attributes>"""
LOCATE_ATTRIBUTE = """<Attributes><Attribute><VendorIdentification type="TextString" value="x"/>
<AttributeName type="TextString" value="serial"/><AttributeValue type="TextString" value="%d"/></Attribute></Attributes>"""
ASKED = 512  # different objects that the load asks for


class Many(Bench):
    """An instance with many objects: bench-0 and so on, each with x-serial (bench/fill.c)."""

    def __init__(self, options, count, settings=""):
        super().__init__(options)
        self.count = count
        self.settings = settings

    def prepare(self):
        super().prepare()
        config = self.dir / "keystead.conf"
        text = config.read_text()
        for line in filter(None, self.settings.split(";")):
            section, key, value = line.split()
            text = text.replace("%s {" % section, "%s {\n    %s = %s" % (section, key, value), 1)
        config.write_text(text)
        subprocess.run([str(self.build / "bench" / "bench_fill"), str(self.dir), str(self.count)], check=True)

    def requests(self):
        step = max(1, self.count // ASKED)
        numbers = [number * step for number in range(min(ASKED, self.count))]
        name = self.several("name", "Locate", [LOCATE_NAME % number for number in numbers])
        attribute = self.several("attribute", "Locate", [LOCATE_ATTRIBUTE % number for number in numbers])
        uids = [json.loads(self.command("key", "show", "bench-%d" % number, "--json"))["identifier"]
                for number in numbers[:64]]
        get = self.several("get", "Get", ['<UniqueIdentifier type="TextString" value="%s"/>' % uid for uid in uids])
        return {"get": get, "locate by name": name, "locate by a vendor attribute": attribute}

    def resident(self, pid):
        """Of the largest process, which is the vault, in bytes."""
        children = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
        lines = [line for child in children for line in pathlib.Path("/proc/%s/status" % child).read_text().splitlines()]
        return max(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def measure(self):
        self.prepare()
        began = time.monotonic()
        with self.process(self.keystead, "server", "--dir", self.dir, ready="ready") as pid:
            figures = {"objects": self.count, "settings": self.settings, "start_s": time.monotonic() - began,
                       "resident_at_start": self.resident(pid)}
            files = self.requests()
            for what in files:
                runs = [self.load(self.port, pid, what, 64, 8, files) for _ in range(self.options.rounds)]
                figures[what] = statistics.median(run["per_second"] for run in runs)
            figures["resident"] = self.resident(pid)
        return figures


def million(options):
    """Start, Get and Locate with few and with very many objects, in one run, and with memory for a part of them."""
    results = []
    for count, settings in ((10000, ""), (100000, 'store audit_sync "changes"'), (options.objects, ""),
                            (options.objects, "limits object_memory_bytes 536870912")):
        bench = Many(options, count, settings)
        try:
            results.append(bench.measure())
        finally:
            shutil.rmtree(bench.root, ignore_errors=True)
        row = results[-1]
        print("%(objects)8d objects  %(settings)-40s start %(start_s)5.1f s" % row, end="")
        print("  resident %4d MiB at start, %4d after" % (row["resident_at_start"] >> 20, row["resident"] >> 20))
        for what in ("get", "locate by name", "locate by a vendor attribute"):
            print("    %-40s %9.0f a second  %5.2f of those with %d" % (
                what, row[what], row[what] / results[0][what], results[0]["objects"]), flush=True)
    return results


def codec(build):
    """Nanoseconds and instructions to decode a message and encode it again."""
    program = str(pathlib.Path(build) / "bench" / "bench_codec")
    timed = [json.loads(line) for line in subprocess.run([program], check=True, capture_output=True, text=True)
             .stdout.splitlines()]
    counts = {}
    if shutil.which("valgrind"):
        for message in timed:
            counted = []
            for rounds in (1000, 2000):  # the difference is without start-up
                done = subprocess.run(
                    ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, str(rounds),
                     message["message"]], capture_output=True, text=True)
                collected = [line for line in done.stderr.splitlines() if "Collected" in line]
                counted.append(int(collected[-1].split(":")[1]) if collected else 0)
            passes = message.get("passes", 5)
            counts[message["message"]] = (counted[1] - counted[0]) / (1000 * passes)
    print("%-44s %9s %12s" % ("codec: decode and encode again", "ns", "instructions"))
    for message in timed:
        print("%-44s %9.0f %12.0f" % ("%s, %d bytes" % (message["message"], message["bytes"]), message["ns"],
                                      counts.get(message["message"], 0)))
        message["instructions"] = counts.get(message["message"])
    return timed


def main():
    parser = argparse.ArgumentParser(prog="script/bench")
    parser.add_argument("part", nargs="?", choices=("million",), help="many objects, instead of the usual rows")
    parser.add_argument("--objects", type=int, default=1000000, help="of the part million (default 1000000)")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each row (default 5)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains this")
    parser.add_argument("--tmp", default=None, metavar="DIR", help="where the instance is made (default /tmp)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here as well")
    options = parser.parse_args()

    figures = {"machine": "%s, %d cores" % (platform.machine(), os.cpu_count()), "kernel": platform.release()}
    print("%(machine)s, kernel %(kernel)s; the load generator runs on the same cores" % figures)
    if options.part == "million":
        figures["million"] = million(options)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
        return 0
    figures["codec"] = codec(options.build)
    print("\n%-44s %9s %9s %6s %8s %8s %8s %8s %8s" % (
        "medians of %d pairs" % options.rounds, "floor/s", "keystead/s", "ratio", "floor us", "ks us",
        "p50 us", "p99 us", "of goal"))
    bench = Bench(options)
    try:
        figures["rows"] = bench.run()
    finally:
        shutil.rmtree(bench.root, ignore_errors=True)
    print("us: CPU time of the server's processes for each request, from /proc")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
