"""A real instance for tests: `keystead init`, then `keystead server`, on a free port of the loopback address."""

import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
KEYSTEAD = os.environ.get("KEYSTEAD_BIN", str(SOURCE / "build" / "keystead"))
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer|ThreadSanitizer")


def free_port():
    """A port that nobody listens on, below those that the kernel gives to connections: what binds it later, while other
    tests run, finds it free still."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def run(*args, check=True, **kwargs):
    """Runs `keystead ARGS` to its end."""
    kwargs.setdefault("timeout", 120)
    done = subprocess.run([KEYSTEAD, *map(str, args)], text=True, capture_output=True,
                          stdin=kwargs.pop("stdin", subprocess.DEVNULL), **kwargs)
    assert not SANITIZER.search(done.stderr), done.stderr
    if check:
        assert done.returncode == 0, "keystead %s: status %d\n%s%s" % (
            " ".join(map(str, args)), done.returncode, done.stdout, done.stderr)
    return done


def group_is_alive(group):
    """Whether a thread of the group runs still; one that nobody has reaped does not. A process whose first thread is
    gone keeps its files until the others, which may be waiting for the disk, are gone too."""
    for path in pathlib.Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False


def link_of(fd):
    """What a descriptor in /proc leads to; None when it was closed since the folder was read."""
    try:
        return os.readlink(fd)
    except FileNotFoundError:
        return None


def wait_until(condition, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Instance:
    """An instance's folder, and its server while one runs."""

    def __init__(self, folder, *init_args, port=None):
        self.port = port or free_port()
        self.dir = pathlib.Path(folder)
        self.process = None
        self.ready = threading.Event()
        self.ready_line = None
        self._log = []
        self.init = run("init", self.dir, "--kmip", "127.0.0.1:%d" % self.port, *init_args)

    # The configuration

    def configure(self, section, **settings):
        """Sets keys of a section of keystead.conf, which the file has already, commented out or not."""
        path = self.dir / "keystead.conf"
        lines, inside, left = [], False, dict(settings)
        for line in path.read_text().splitlines():
            if line.startswith(section + " {"):
                inside = True
            elif line.startswith("}"):
                inside = False
            key = re.match(r"\s*#?(\w+) = ", line)
            if inside and key and key.group(1) in left:
                value = left.pop(key.group(1))
                line = "    %s = %s" % (key.group(1), value if isinstance(value, int) else '"%s"' % value)
            lines.append(line)
        assert not left, "no such keys in section %s: %s" % (section, ", ".join(left))
        path.write_text("\n".join(lines) + "\n")

    # The process

    def start(self, *args, wait=True, stdin=subprocess.DEVNULL, env=None):
        self.ready.clear()
        self.ready_line = None
        self._log = []
        # In a session of its own: killing the group must not reach the tests, nor a terminal's Ctrl-C the server.
        self.process = subprocess.Popen(
            [KEYSTEAD, "server", "--dir", str(self.dir), *map(str, args)], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True, env=env)
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True)
                         for stream in (self.process.stdout, self.process.stderr)]
        for reader in self._readers:
            reader.start()
        if wait:
            deadline = time.monotonic() + 60
            while not self.ready.wait(0.05):
                assert self.process.poll() is None, "the server ended with %d before it was ready:\n%s" % (
                    self.process.returncode, self.log)
                assert time.monotonic() < deadline, "the server is not ready after a minute:\n%s" % self.log
        return self

    def _read(self, stream):
        for line in stream:
            self._log.append(line)
            if stream is self.process.stdout and "ready" in line:
                self.ready_line = line
                self.ready.set()

    @property
    def log(self):
        """All that it printed since it was started, standard output and error."""
        return "".join(self._log)

    def wait_for_log(self, text, timeout=20):
        deadline = time.monotonic() + timeout
        while text not in self.log:
            assert time.monotonic() < deadline, "%r was never logged:\n%s" % (text, self.log)
            time.sleep(0.02)

    def wait(self, timeout=60):
        """Waits for its end; returns the exit status."""
        status = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(10)
        assert not SANITIZER.search(self.log), self.log
        return status

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, "SIGTERM: status %d\n%s" % (status, self.log)

    def kill(self):
        """kill -9 to every process at once; returns when all are gone, and the address is free."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        deadline = time.monotonic() + 30
        while group_is_alive(self.process.pid):
            assert time.monotonic() < deadline, "processes survive SIGKILL"
            time.sleep(0.005)

    def signal(self, number):
        self.process.send_signal(number)

    def children(self):
        """{pid: name of the user}: of the vault and the net workers."""
        listing = subprocess.run(["ps", "-o", "pid=,user=", "--ppid", str(self.process.pid)], text=True,
                                 capture_output=True).stdout
        return {int(pid): user for pid, user in (line.split() for line in listing.splitlines())}

    def roles(self):
        """(vault's pid, [net workers' pids]): the vault is the only one with the store open."""
        vault, workers = None, []
        for pid in self.children():
            try:
                files = [*filter(None, map(link_of, pathlib.Path("/proc/%d/fd" % pid).iterdir()))]
            except OSError:
                continue
            if any(name.endswith("store.db") for name in files):
                vault = pid
            else:
                workers.append(pid)
        return vault, workers

    def memory(self):
        """Resident KiB of all its processes."""
        total = 0
        for pid in [self.process.pid, *self.children()]:
            try:
                status = pathlib.Path("/proc/%d/status" % pid).read_text()
            except OSError:
                continue
            found = re.search(r"VmRSS:\s+(\d+)", status)
            total += int(found.group(1)) if found else 0
        return total

    # Clients

    def context(self, certificate="admin", **files):
        """A TLS context with that certificate of the instance (None: without one)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(files.get("ca", self.dir / "ca.pem")))
        if certificate is not None:
            context.load_cert_chain(str(files.get("cert", self.dir / (certificate + ".pem"))),
                                    str(files.get("key", self.dir / (certificate + ".key"))))
        return context

    def plain(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def connect(self, context=None, timeout=20):
        return (context or self.context()).wrap_socket(self.plain(timeout), server_hostname="127.0.0.1")

    def run(self, *args, **kwargs):
        """A keystead command with this instance's folder."""
        return run(*args, env={**os.environ, "KEYSTEAD_DIR": str(self.dir)}, **kwargs)
