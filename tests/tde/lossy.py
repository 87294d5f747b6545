"""A device that loses what was not synced: lossy.c notes what it has for sure, and here is what becomes of the rest.

Each change since the last sync of its file may be there or not: sectors of 512 bytes one by one, sizes, names. So pages
and records of WAL are torn, and files are there in part, or not at all.
"""

import os
import shutil
import subprocess

from encrypted import compiled, own

SECTOR = 512


class Device:
    """Under one cluster. What it has for sure is beside the data directory."""

    def __init__(self, cluster):
        self.cluster, self.shadow = cluster, cluster.folder / "device"
        self.tree, self.names = self.shadow / "tree", self.shadow / "names"
        self.shim = compiled(cluster.work, "lossy.c")

    def on(self):
        """Starts the cluster; what is there then is durable."""
        shutil.rmtree(self.shadow, ignore_errors=True)
        self.shadow.mkdir()
        own(self.shadow, 0o700)
        subprocess.run(["cp", "-a", self.cluster.data, self.tree], check=True)
        for path in (self.names, self.shadow / "lock"):
            path.touch()
            own(path, 0o600)
        layer = [] if self.cluster.keys is None else [str(self.cluster.work / "libkeystead_tde.so")]
        self.cluster.start(env=["LD_PRELOAD=" + ":".join([*layer, str(self.shim)]), "LOSSY_ROOT=%s" % self.cluster.data,
                                "LOSSY_SHADOW=%s" % self.shadow])

    def power_failure(self, chance):
        """Kills the cluster, and leaves what the device has. How many files lost something, sectors, and names."""
        self.cluster.kill()
        pending = [(line[0], *line[2:].split("\t")) for line in self.names.read_text(encoding="ascii").splitlines()]
        kept = chance.choice([0, chance.randrange(len(pending) + 1), len(pending)])
        for change in pending[:kept]:
            self.apply(*change)
        open_names = {name for change in pending[kept:] for name in change[1:]}
        files = sectors = 0
        for folder, _, names in os.walk(self.cluster.data):
            inside = os.path.relpath(folder, self.cluster.data)
            for name in names:
                path = os.path.normpath(os.path.join(inside, name))
                if any(path == other or path.startswith(other + "/") for other in open_names):
                    continue  # what has this name is not, or not for sure, what the device has under it
                lost = self.mix(path, chance)
                files += lost > 0
                sectors += lost
        shutil.rmtree(self.cluster.data)
        self.tree.rename(self.cluster.data)
        return files, sectors, len(pending) - kept

    def apply(self, what, a, b=""):
        old, new = self.tree / a, self.tree / b
        if what == "R" and new.parent.is_dir():
            if old.exists():
                old.rename(new)
            else:
                new.unlink(missing_ok=True)
                new.touch()
                own(new, 0o600)
        elif what == "L" and old.exists() and not new.exists():
            os.link(old, new)
        elif what == "U":
            old.unlink(missing_ok=True)
        elif what == "D":
            shutil.rmtree(old, ignore_errors=True)

    def mix(self, path, chance):
        """Of one file: the device's content, and some of what was written since. How many sectors were lost."""
        live, sure = self.cluster.data / path, self.tree / path
        if live.is_symlink() or not live.is_file() or not sure.parent.is_dir():
            return 0
        new = live.read_bytes()
        old = sure.read_bytes() if sure.exists() else None
        if new == old:
            return 0
        if old is None:  # never synced
            if chance.random() < 0.5:
                return len(new) // SECTOR + 1
            old = b""
        changed = [at for at in range(0, len(new), SECTOR) if new[at:at + SECTOR] != old[at:at + SECTOR]]
        share, ordered = chance.choice([0, 0.1, 0.5, 0.9, 1]), chance.random() < 0.3
        there = changed[:int(len(changed) * share)] if ordered else [at for at in changed if chance.random() < share]
        size = max([len(old), *(min(at + SECTOR, len(new)) for at in there)])
        if len(new) != len(old) and chance.random() < 0.5:
            size = len(new)
        mixed = bytearray(old[:size].ljust(size, b"\0"))
        for at in there:
            part = new[at:at + SECTOR][:max(0, size - at)]
            mixed[at:at + len(part)] = part
        made = not sure.exists()
        sure.write_bytes(mixed)
        if made:
            own(sure, 0o600)
        return len(changed) - len(there)
