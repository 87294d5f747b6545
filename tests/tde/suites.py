"""PostgreSQL's own test suites, against a plain and an encrypted cluster of the same server: see script/tde-suites.

The suites are of the version of Debian's source package that the registry has, and so is the server: both clusters run
the distribution's binaries of exactly that version, unpacked into the work directory. What is asked is whether each test
has the same result without the layer and with it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("postgresql-%d", "postgresql-client-%d", "postgresql-server-dev-%d")
CONTRIB = ("pgcrypto", "pageinspect", "amcheck", "pg_stat_statements", "pg_visibility")
SKIPPED = 77  # exit status: the registry does not have what is needed


class Missing(Exception):
    """Something that only the registry can give is not to be had."""


def run(words, **how):
    return subprocess.run([str(word) for word in words], check=True, **how)


def apt(work, *words, **how):
    """apt with lists of its own that include sources: the machine's configuration stays as it is."""
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (work / "apt" / name).mkdir(parents=True, exist_ok=True)
    given = [*pathlib.Path("/etc/apt").glob("sources.list.d/*.sources"), *pathlib.Path("/etc/apt").glob("sources.list.d/*.list"),
             pathlib.Path("/etc/apt/sources.list")]
    for path in given:
        if not path.exists():
            continue
        text = path.read_text()
        if path.suffix == ".sources":
            text = re.sub(r"(?m)^Types:.*$", "Types: deb deb-src", text)
        else:
            text += "".join("deb-src" + line[3:] + "\n" for line in text.splitlines() if line.startswith("deb "))
        (work / "apt" / "parts" / path.name.replace("sources.list", "base.list")).write_text(text)
    return subprocess.run(
        [words[0], "-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=%s" % (work / "apt/parts"),
         "-o", "Dir::State::Lists=%s" % (work / "apt/lists"), "-o", "Dir::Cache=%s" % (work / "apt/cache"),
         "-o", "APT::Sandbox::User=root", *map(str, words[1:])], capture_output=True, text=True, **how)


def fetch(work, major, given):
    """The newest version whose source and binaries are both there, unpacked: returns (source, root). With the source
    given as a file, the newest binaries."""
    packages = [package % major for package in PACKAGES]
    source, root = work / "source", work / "root"
    if (work / "fetched").exists():
        return source, root
    if apt(work, "apt-get", "update", "-qq").returncode != 0:
        raise Missing("no package lists")
    known = apt(work, "apt-cache", "madison", packages[0]).stdout
    versions = list(dict.fromkeys(line.split("|")[1].strip() for line in known.splitlines()))
    for version in versions:
        got = work / "packages"
        shutil.rmtree(got, ignore_errors=True)
        got.mkdir(parents=True)
        done = [] if given else [
            apt(work, "apt-get", "source", "-qq", "--download-only", "%s=%s" % (packages[0], version), cwd=got)]
        done += [apt(work, "apt-get", "download", "-qq", "%s=%s" % (package, version), cwd=got) for package in packages]
        if any(one.returncode for one in done):
            continue
        for place in (source, root):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        run(["tar", "xf", given or next(got.glob("*.orig.tar.*")), "-C", source, "--strip-components=1"])
        for package in got.glob("*.deb"):
            run(["dpkg", "-x", package, root])
        (work / "fetched").write_text(version + (", tests of %s" % given.name if given else ""))
        return source, root
    raise Missing("the registry has no version of %s whole; it knows %s" % (packages[0], ", ".join(versions) or "none"))


class Server:
    """One cluster, run as `user`."""

    def __init__(self, work, root, name, user, options):
        self.work, self.name, self.user, self.options = work / name, name, user, options
        self.bin = root / "usr/lib/postgresql" / str(options.major) / "bin"
        self.data = self.work / "data"
        self.port = 5501 if name == "plain" else 5502

    def as_user(self, words, **how):
        words = [str(word) for word in words]
        if os.getuid() == 0:
            words = ["runuser", "-u", self.user, "--", *words]
        return subprocess.run(words, check=True, **how)

    def make(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        if os.getuid() == 0:
            shutil.chown(self.work, self.user, self.user)
        initdb = ["-A", "trust", "-U", "regress", "--no-locale", "-N", "-k"]
        if self.name == "plain":
            self.as_user([self.bin / "initdb", "-D", self.data, *initdb], stdout=subprocess.DEVNULL)
        else:
            key = self.work / "key"
            key.write_text(os.urandom(32).hex() + "\n")
            key.chmod(0o600)
            if os.getuid() == 0:
                shutil.chown(key, self.user, self.user)
            self.as_user([self.options.build / "keystead", "pg", "init", "--data", self.data, "--key-file", key, "--bin",
                          self.bin, "--", *initdb], stdout=subprocess.DEVNULL)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write("listen_addresses = ''\nunix_socket_directories = '%s'\nport = %d\nfsync = off\n"
                       "max_prepared_transactions = 10\nlog_autovacuum_min_duration = 0\n" % (self.work, self.port))

    @contextlib.contextmanager
    def running(self, more=""):
        env = dict(os.environ)
        if self.name != "plain":
            env["LD_PRELOAD"] = str(self.options.build / "tde/libkeystead_tde.so")
        command = [self.bin / "pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", self.work / "server.log", "-o", more]
        self.as_user([*command, "start"], env=env, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            self.as_user([*command, "-m", "fast", "stop"], stdout=subprocess.DEVNULL)

    def regress(self, tool, inputdir, dlpath, words, out):
        """Runs pg_regress or its like; returns {test: result}."""
        out.mkdir(parents=True)
        if os.getuid() == 0:
            shutil.chown(out, self.user, self.user)
        env = {**os.environ, "PATH": "%s:%s" % (self.bin, os.environ["PATH"]), "PGHOST": str(self.work), "PGUSER": "regress"}
        done = subprocess.run(
            [*(["runuser", "-u", self.user, "--"] if os.getuid() == 0 else []), str(tool),
             *(["--expecteddir=%s" % inputdir] if self.options.major >= 16 else []),
             "--bindir=%s" % self.bin, "--inputdir=%s" % inputdir, "--outputdir=%s" % out, "--dlpath=%s" % dlpath,
             "--host=%s" % self.work, "--port=%d" % self.port, "--user=regress", *map(str, words)],
            env=env, capture_output=True, text=True)
        (out / "log").write_text(done.stdout + done.stderr)
        found = {}
        for line in done.stdout.splitlines():
            # "test name ... ok 12 ms", "     name ... FAILED 12 ms", "... failed (ignored)"; from 16 on "ok 5 - name 12 ms"
            match = re.match(r"(?:test )?\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", line)
            if match:
                found[match[1]] = match[2]
            match = re.match(r"(ok|not ok)\s+\d+\s+[-+]\s+(\S+)", line)
            if match:
                found[match[2]] = "ok" if match[1] == "ok" else "FAILED"
        if not found:
            raise SystemExit("%s of the %s cluster ran no test: see %s" % (tool, self.name, out / "log"))
        return found


WRAPPER = """#!/bin/sh
# Finds the layer for {program}, as an administrator's environment would.
case {program} in
initdb)
    data=
    for word; do
        [ "${{last:-}}" != -D ] || data=$word
        last=$word
    done
    key={work}/key
    [ -e "$key" ] || (umask 077 && head -c 32 /dev/urandom > "$key")
    while [ "$1" != -D ]; do set -- "$@" "$1"; shift; done
    shift 2
    exec {keystead} pg init --data "$data" --key-file "$key" --bin {bin} -- "$@"
    ;;
pg_basebackup)
    port=5432
    for word; do
        [ "${{last:-}}" != --port ] && [ "${{last:-}}" != -p ] || port=$word
        last=$word
    done
    for pid in "$TESTDIR"/tmp_check/*/pgdata/postmaster.pid; do
        if [ "$(sed -n 4p "$pid")" = "$port" ]; then
            exec {keystead} pg exec --data "${{pid%/postmaster.pid}}" -- {bin}/{program} "$@"
        fi
    done
    ;;
esac
LD_PRELOAD={layer}
export LD_PRELOAD
exec {bin}/{program} "$@"
"""


def tap(server, source, pgxs, library, out):
    """The TAP tests of recovery; the encrypted side finds PostgreSQL's programs by way of wrappers."""
    out.mkdir(parents=True)
    path = server.bin
    if server.name != "plain":
        path = server.work / "wrappers"
        path.mkdir()
        for program in server.bin.iterdir():
            text = WRAPPER.format(program=program.name, work=server.work, bin=server.bin,
                                  keystead=server.options.build / "keystead",
                                  layer=server.options.build / "tde/libkeystead_tde.so")
            if program.name in ("psql", "pgbench", "pg_isready", "createdb", "dropdb"): # clients: nothing of theirs is a file of a cluster
                text = '#!/bin/sh\nexec %s "$@"\n' % program
            (path / program.name).write_text(text)
            (path / program.name).chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(out, server.user, server.user)
    tests = source / "src/test/recovery"
    env = {**os.environ, "PATH": "%s:%s" % (path, os.environ["PATH"]), "PG_REGRESS": str(pgxs / "regress/pg_regress"),
           "REGRESS_SHLIB": str(library), "TESTDIR": str(out),
           "PERL5LIB": "%s:%s" % (source / "src/test/perl", tests), "with_icu": "no", "enable_injection_points": "no"}
    words = ["prove", "-j", "2", *sorted(str(one.relative_to(tests)) for one in (tests / "t").glob(server.options.tap))]
    done = subprocess.run([*(["runuser", "-u", server.user, "--"] if os.getuid() == 0 else []), *words], cwd=tests, env=env,
                          capture_output=True, text=True)
    (out / "prove.log").write_text(done.stdout + done.stderr)
    found = {}
    for line in done.stdout.splitlines():
        # prove says what failed in its summary as "t/NAME (Wstat: ...", and what passed as "t/NAME .. ok".
        match = re.match(r"t/(\S+)\s*(?:\.\.+\s*(ok|skipped)|\(Wstat:)", line.rsplit("\r", 1)[-1])
        if match:
            found[match[1]] = match[2] or "failed"
    if not found:
        raise SystemExit("prove ran no test of the %s cluster: see %s" % (server.name, out / "prove.log"))
    return found


def suites(source, root, work, major):
    """Name -> (settings of the server, function of a server giving {test: result})."""
    installed = root / "usr/lib/postgresql" / str(major) / "lib"
    pgxs = installed / "pgxs/src/test"
    library = work / "regress.so"
    if not library.exists():
        headers = root / "usr/include/postgresql" / str(major) / "server"
        run(["cc", "-O2", "-fPIC", "-shared", "-w", "-I", headers, "-I", root / "usr/include/postgresql", "-o", library,
             source / "src/test/regress/regress.c"])
    regress = pgxs / "regress/pg_regress"
    for name in ("autoinc", "refint"): # what the suite builds from contrib/spi
        shutil.copy(installed / (name + ".so"), work)

    def core(server, out):
        tests = source / "src/test/regress"
        return server.regress(regress, tests, work, ["--dbname=regression", "--max-concurrent-tests=20", "--schedule",
                                                     tests / "parallel_schedule"], out)

    def isolation(server, out):
        tests = source / "src/test/isolation"
        return server.regress(pgxs / "isolation/pg_isolation_regress", tests, work,
                              ["--dbname=isolation_regression", "--schedule", tests / "isolation_schedule"], out)

    def contrib(name):
        def one(server, out):
            tests = source / "contrib" / name
            names = re.findall(r"^REGRESS\s*=\s*((?:.*\\\n)*.*)$", (tests / "Makefile").read_text(), re.M)
            listed = [word for word in " ".join(names).replace("\\\n", " ").split() if (tests / "sql" / (word + ".sql")).exists()]
            return server.regress(regress, tests, work, ["--dbname=contrib_regression", *listed], out)
        return one

    def recovery(server, out):
        return tap(server, source, pgxs, library, out)

    return {"core": ("", core), "isolation": ("", isolation), "recovery": (None, recovery),
            **{name: ("-c shared_preload_libraries=%s" if name == "pg_stat_statements" else "", contrib(name))
               for name in CONTRIB}}


def compare(name, plain, encrypted):
    """What differs, for people; the counts go with it."""
    differs = {test: (plain.get(test), encrypted.get(test)) for test in sorted({*plain, *encrypted})
               if plain.get(test) != encrypted.get(test)}
    good = [sum(result == "ok" for result in one.values()) for one in (plain, encrypted)]
    print("%-20s plain %3d of %3d ok, encrypted %3d of %3d ok, %s" % (
        name, good[0], len(plain), good[1], len(encrypted),
        "the same results" if not differs else "; ".join("%s: %s, encrypted %s" % (test, *both) for test, both in differs.items())),
        flush=True)
    return {"plain_ok": good[0], "encrypted_ok": good[1], "tests": len(plain), "differs": differs,
            "failed_alike": sorted(test for test in plain if plain[test] != "ok" and plain[test] == encrypted.get(test))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--major", type=int, default=15, help="of PostgreSQL, as this distribution has it")
    parser.add_argument("--source", type=pathlib.Path, help="PostgreSQL's source, a tar file: where the registry has none")
    parser.add_argument("--work", type=pathlib.Path, help="where it all goes; /var/tmp/keystead-tde-suites/MAJOR unless told")
    parser.add_argument("--only", default="", help="suites whose name contains this")
    parser.add_argument("--user", default="postgres", help="who runs the servers, if this is run by root")
    parser.add_argument("--tap", default="*.pl", help="of the TAP tests, those that match")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.work = options.work or pathlib.Path("/var/tmp/keystead-tde-suites") / str(options.major)
    options.work.mkdir(parents=True, exist_ok=True)
    pwd.getpwnam(options.user)
    try:
        source, root = fetch(options.work, options.major, options.source)
    except Missing as why:
        print("skipped: %s" % why)
        return SKIPPED
    print("PostgreSQL %s, its own suites, without the layer and with it" % (options.work / "fetched").read_text(), flush=True)
    servers = [Server(options.work, root, name, options.user, options) for name in ("plain", "encrypted")]
    for server in servers:
        server.make()
    results = {}
    for name, (settings, suite) in suites(source, root, options.work, options.major).items():
        if options.only not in name:
            continue
        found = []
        for server in servers:
            guard = ["keystead_guard"] if server.name != "plain" else []
            if guard and settings:
                guard = [str(next((options.build / "tde/guard").glob("keystead_guard-pg%d.so" % options.major)))]
            more = settings % ",".join([*guard, "pg_stat_statements"]) if settings else ""
            # TAP tests make clusters of their own.
            with server.running(more) if settings is not None else contextlib.nullcontext():
                began = time.monotonic()
                found.append(suite(server, server.work / name))
                print("  %s, %s: %.0f s" % (name, server.name, time.monotonic() - began), file=sys.stderr, flush=True)
        results[name] = compare(name, *found)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 1 if not results or any(one["differs"] for one in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
