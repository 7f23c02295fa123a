# SPDX-License-Identifier: Apache-2.0
"""Runs a container of the DaemonSet as a Kubernetes runtime would, with runc: its capabilities, mounts,
read-only root, environment and namespaces, and the seccomp profile of manifests/seccomp."""
import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import subprocess
import tarfile

import yaml

from harness import ROOT, Failure, stop

MANIFESTS = ROOT / "manifests"


def image_tool():
    loader = importlib.machinery.SourceFileLoader("image", str(ROOT / "scripts/image"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("image", loader))
    loader.exec_module(module)
    return module


def unpack(archive, folder):
    """The root file system of an OCI archive, every blob checked against its digest."""
    with tarfile.open(archive) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isreg()}

    def blob(descriptor):
        data = files["blobs/" + descriptor["digest"].replace(":", "/")]
        if descriptor["digest"] != "sha256:" + hashlib.sha256(data).hexdigest() or descriptor["size"] != len(data):
            raise Failure(f"{archive}: {descriptor} is not what it says")
        return data

    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    layer = gzip.decompress(blob(manifest["layers"][0]))
    if config["rootfs"]["diff_ids"] != ["sha256:" + hashlib.sha256(layer).hexdigest()]:
        raise Failure(f"{archive}: the layer is not the configuration's")
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        tar.extractall(folder, filter="fully_trusted") if hasattr(tarfile, "fully_trusted_filter") else tar.extractall(folder)
    return config["config"]


def documents(path):
    return [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]


def daemonset():
    return documents(MANIFESTS / "base/daemonset.yaml")[0]


def probe_container():
    return daemonset()["spec"]["template"]["spec"]["containers"][0]


def seccomp_profile():
    return json.loads((MANIFESTS / "seccomp/llmtap.json").read_text())


def spec(rootfs, args, env, capabilities, namespaces, mounts=(), seccomp=None, readonly=True):
    """An OCI runtime configuration, as containerd's CRI plugin writes it."""
    held = ["CAP_" + name for name in capabilities]
    # Capabilities of a container are never ambient or inheritable in Kubernetes.
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": args, "env": env, "cwd": "/", "noNewPrivileges": True,
                    "capabilities": {"bounding": held, "effective": held, "permitted": held}},
        "root": {"path": str(rootfs), "readonly": readonly},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            # sysfs is mounted by whoever owns the network namespace; a container of the host's gets the host's.
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
            if "network" in namespaces else {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]},
            *mounts],
        "linux": {"namespaces": [{"type": name} for name in namespaces], "resources": {"devices": [{"allow": False, "access": "rwm"}]},
                  **({"seccomp": seccomp} if seccomp else {}),
                  "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                                  "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
                  "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]},
    }


def probe_spec(rootfs, entrypoint, config, dropped=()):
    """What the DaemonSet asks for, less the capabilities in `dropped`. `config`: the folder of llmtap.yaml."""
    pod = daemonset()["spec"]["template"]["spec"]
    container = pod["containers"][0]
    context = container["securityContext"]
    if not pod["hostPID"] or context["privileged"] or context["allowPrivilegeEscalation"] or context["capabilities"]["drop"] != ["ALL"]:
        raise Failure("the DaemonSet is not what these tests run")
    values = {"POD_IP": "127.0.0.1"}
    env = ["PATH=/usr/bin"]
    for entry in container["env"]:
        text = values[entry["name"]] if entry["name"] in values else entry["value"]
        for name, value in values.items():
            text = text.replace(f"$({name})", value)
        env.append(f"{entry['name']}={text}")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = []
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        source = volume["hostPath"]["path"] if "hostPath" in volume else str(config)
        mounts.append({"destination": mount["mountPath"], "type": "bind", "source": source,
                       "options": ["rbind", "ro" if mount["readOnly"] else "rw"]})
    kept = [name for name in context["capabilities"]["add"] if name not in dropped]
    return spec(rootfs, [*entrypoint, *container["args"]], env, kept, ("network", "ipc", "uts", "mount", "cgroup"), mounts, seccomp_profile(),
                context["readOnlyRootFilesystem"])


class Container:
    """A container in the foreground of a runc; ended by its end."""

    def __init__(self, folder, name, config, **named):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(parents=True)
        (self.folder / "config.json").write_text(json.dumps(config))
        self.name = f"{name}-{folder.name}"
        self.runc = ["runc", "--root", str(folder / "runc")]
        self.out, self.err = self.folder / "out", self.folder / "err"
        named.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen([*self.runc, "run", "--bundle", self.folder, self.name], stdout=open(self.out, "wb"),
                                        stderr=open(self.err, "wb"), **named)

    def state(self):
        """(pid, status) as runc knows it, or None before there is one."""
        run = subprocess.run([*self.runc, "state", self.name], capture_output=True, text=True, check=False)
        if run.returncode:
            return None
        state = json.loads(run.stdout)
        return state["pid"], state["status"]

    def end(self):
        status = stop(self.process)
        subprocess.run([*self.runc, "delete", "--force", self.name], capture_output=True, check=False)
        return status
