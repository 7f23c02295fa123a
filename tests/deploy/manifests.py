#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifests.py LLMTAP: what manifests/ says of the program is what the program says of itself, and its
parts agree with each other: names, ports, probes, capabilities, configuration, system calls."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from bundle import MANIFESTS, daemonset, documents, seccomp_profile  # noqa: E402
from harness import ROOT  # noqa: E402

PROBLEMS = []
# What Kubernetes knows of the fields that are used here; a misspelled field would be ignored by a lax client.
FIELDS = {
    "pod": {"serviceAccountName", "automountServiceAccountToken", "hostPID", "nodeSelector", "tolerations", "terminationGracePeriodSeconds",
            "containers", "volumes"},
    "container": {"name", "image", "args", "env", "ports", "startupProbe", "livenessProbe", "readinessProbe", "resources", "securityContext",
                  "volumeMounts"},
    "securityContext": {"runAsUser", "privileged", "allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "seccompProfile"},
    "probe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"},
}


def check(condition, problem):
    if not condition:
        PROBLEMS.append(problem)


def known(what, fields):
    check(set(fields) <= FIELDS[what], f"{what}: unknown fields {sorted(set(fields) - FIELDS[what])}")


def run(llmtap, *arguments, env=None):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTAP_")}
    return subprocess.run([llmtap, *arguments], capture_output=True, text=True, env={**clean, **(env or {})}, timeout=120, check=False)


def needed_capabilities(llmtap):
    """As doctor names them; CAP_SYS_RESOURCE is asked for before Linux 5.11 alone."""
    facts = json.loads(run(llmtap, "doctor", "--json").stdout)["facts"]
    return {fact["name"].removeprefix("capability cap_").upper() for fact in facts if fact["name"].startswith("capability ")} - {"SYS_RESOURCE"}


def defaults(llmtap):
    return {key: default for key, default in re.findall(r"^\| `([\w.]+)` \| `\w+` \| `?([^`|]*?)`? \|", run(llmtap, "run", "--print-config-reference").stdout, re.M)}


def check_daemonset(llmtap):
    source = daemonset()
    pod = source["spec"]["template"]["spec"]
    container, = pod["containers"]
    context = container["securityContext"]
    for what, fields in (("pod", pod), ("container", container), ("securityContext", context)):
        known(what, fields)
    labels = source["spec"]["template"]["metadata"]["labels"]
    check(source["spec"]["selector"]["matchLabels"] == labels, "the DaemonSet does not select its own pods")
    check(pod["hostPID"] is True, "without the host's pid namespace nothing is seen")
    check(context["readOnlyRootFilesystem"] and not context["privileged"] and not context["allowPrivilegeEscalation"], "is more privileged than it need be")
    check(context["capabilities"]["drop"] == ["ALL"], "does not drop the runtime's capabilities")
    asked, needed = set(context["capabilities"]["add"]), needed_capabilities(llmtap)
    check(asked == needed, f"capabilities {sorted(asked)}, but doctor names {sorted(needed)}")
    check(":" not in container["image"] and "@" not in container["image"], "names an image that is not released")

    values = defaults(llmtap)
    port, = container["ports"]
    check(values["metrics.listen"].endswith(f":{port['containerPort']}"), f"port {port['containerPort']}, the program's is {values['metrics.listen']}")
    routes = (ROOT / "userspace/pipeline/web.cpp").read_text()
    for name, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        known("probe", container[name])
        get = container[name]["httpGet"]
        check(get["port"] == port["name"] and get["path"] == path and f'"{path}"' in routes, f"{name}: {get}")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    check(set(volumes) == {mount["name"] for mount in container["volumeMounts"]}, "a volume is not mounted, or a mount has no volume")
    for mount in container["volumeMounts"]:
        check(mount["readOnly"], f"{mount['mountPath']} is writable")
        host = volumes[mount["name"]].get("hostPath")
        check(not host or host["path"] == mount["mountPath"] and host["path"] not in ("/", "/proc", "/sys", "/var", "/run"), f"mounts {host}")

    # The configuration of the ConfigMap, the arguments and the variables, read by the program itself.
    configmap, = documents(MANIFESTS / "base/configmap.yaml")
    check(volumes["config"]["configMap"]["name"] == configmap["metadata"]["name"], "mounts another ConfigMap")
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["config"]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in configmap["data"].items():
            (pathlib.Path(folder) / name).write_text(text)
        arguments = [argument.replace(mounted, folder) for argument in container["args"]]
        environment = {entry["name"]: entry["value"].replace("$(POD_IP)", "127.0.0.1") for entry in container["env"] if "value" in entry}
        check(all(name.startswith("LLMTAP_") for name in environment), f"variables {sorted(environment)}")
        # The port is taken by a wrong address, so that the configuration is read and nothing is attached.
        refused = run(llmtap, *arguments, "--listen", "192.0.2.1:9464", env=environment)
        check(refused.returncode == 1 and "192.0.2.1" in refused.stderr, f"the configuration is refused: {refused.stderr[-300:]}")
        wrong = run(llmtap, *arguments, "--set", "metrics.lisen=x", env=environment)
        check(wrong.returncode == 2, "a wrong key is not noticed by this test")


def check_monitoring():
    service, = documents(MANIFESTS / "base/service.yaml")
    labels = daemonset()["spec"]["template"]["metadata"]["labels"]
    port = daemonset()["spec"]["template"]["spec"]["containers"][0]["ports"][0]
    check(service["spec"]["clusterIP"] == "None", "the Service is not headless")
    check(service["spec"]["selector"] == labels and service["spec"]["ports"][0]["targetPort"] == port["name"]
          and service["spec"]["ports"][0]["port"] == port["containerPort"], "the Service does not lead to the pods")
    # The record and alert rules ask for job="llmtap".
    rules = (ROOT / "dashboards/rules.yaml").read_text()
    for kind, field in (("Service", "endpoints"), ("Pod", "podMetricsEndpoints")):
        monitor, = documents(MANIFESTS / f"monitoring/{kind.lower()}monitor.yaml")
        endpoint, = monitor["spec"][field]
        check(monitor["kind"] == f"{kind}Monitor" and monitor["apiVersion"] == "monitoring.coreos.com/v1", f"{kind}Monitor: kind")
        check(monitor["spec"]["selector"]["matchLabels"].items() <= (service["metadata"]["labels"] if kind == "Service" else labels).items(),
              f"{kind}Monitor selects something else")
        check(endpoint["port"] == port["name"] and endpoint["path"] == "/metrics" and endpoint["honorLabels"], f"{kind}Monitor: {endpoint}")
        check((endpoint["interval"], endpoint["scrapeTimeout"]) == ("15s", "10s"), f"{kind}Monitor: interval")
        check(monitor["metadata"]["labels"]["release"] == "prometheus", f"{kind}Monitor: release")
        check(f'job="{labels[monitor["spec"]["jobLabel"]]}"' in rules, f"{kind}Monitor: the rules ask for another job")


def check_rbac():
    account, role, binding = documents(MANIFESTS / "base/rbac.yaml")
    pod = daemonset()["spec"]["template"]["spec"]
    check(pod["serviceAccountName"] == account["metadata"]["name"] == binding["subjects"][0]["name"], "another ServiceAccount")
    check(binding["subjects"][0]["namespace"] == account["metadata"]["namespace"] == daemonset()["metadata"]["namespace"], "another namespace")
    check(binding["roleRef"]["name"] == role["metadata"]["name"], "another role")
    granted = {(group, resource): set(rule["verbs"]) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]}
    check(granted == {("", "pods"): {"get", "list", "watch"}, ("apps", "replicasets"): {"get"}, ("batch", "jobs"): {"get"}}, f"grants {granted}")


def check_system():
    lines = (MANIFESTS / "systemd/llmtap.service").read_text().splitlines()
    settings = {}
    for line in lines:
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            settings.setdefault(name, []).extend(value.split())
    profile = seccomp_profile()
    names = [name for entry in profile["syscalls"] for name in entry["names"]]
    check(profile["defaultAction"] == "SCMP_ACT_ERRNO" and {entry["action"] for entry in profile["syscalls"]} == {"SCMP_ACT_ALLOW"}, "not an allow-list")
    check(len(names) == len(set(names)), "a system call is listed twice")
    check(not {"mount", "ptrace", "process_vm_readv", "init_module", "kexec_load", "setns", "unshare"} & set(names), "allows what it must not")
    check(sorted(names) == sorted(settings["SystemCallFilter"]), "the unit's system calls are not the profile's: "
          f"{sorted(set(names) ^ set(settings['SystemCallFilter']))}")
    asked = daemonset()["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"]
    check(settings["CapabilityBoundingSet"] == ["CAP_" + name for name in asked], "the unit's capabilities are not the DaemonSet's")
    for name, value in (("ProtectSystem", "strict"), ("NoNewPrivileges", "yes")):
        check(settings.get(name) == [value], f"the unit lacks {name}={value}")
    # They would hide what is observed, or tracefs.
    check(not {"ProtectKernelTunables", "ProtectProc", "ProcSubset", "PrivatePIDs", "PrivateUsers"} & settings.keys(), "the unit hides the machine")
    if shutil.which("systemd-analyze"):
        with tempfile.TemporaryDirectory() as folder:
            # The program of the unit need not be installed for its syntax to be looked at.
            unit = pathlib.Path(folder) / "llmtap.service"
            unit.write_text("\n".join(lines).replace("/usr/bin/llmtap", "/bin/true"))
            verified = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
            said = [line for line in verified.stderr.splitlines() if "llmtap.service" in line]
            check(not said, f"systemd-analyze: {said}")


def check_overlays():
    if not shutil.which("kubectl"):
        print("kubectl is not installed: the overlays are not built")
        return
    for folder in sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml")):
        built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
        check(not built.returncode, f"{folder.name}: {built.stderr[-300:]}")
        if built.returncode:
            continue
        kinds = {document["kind"]: document for document in yaml.safe_load_all(built.stdout)}
        container = kinds["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]
        context = container["securityContext"]
        check(bool(context.get("privileged")) == (folder.name == "privileged"), f"{folder.name}: privileged {context.get('privileged')}")
        check(context["readOnlyRootFilesystem"], f"{folder.name}: the root is writable")
        check((context.get("seccompProfile") or {}).get("type") == {"seccomp": "Localhost", "privileged": None}.get(folder.name, "RuntimeDefault"),
              f"{folder.name}: {context.get('seccompProfile')}")
        scheme = {container[probe]["httpGet"].get("scheme", "HTTP") for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        check(scheme == {"HTTPS" if folder.name == "web-config" else "HTTP"}, f"{folder.name}: probes speak {scheme}")


def main():
    llmtap = sys.argv[1]
    check_daemonset(llmtap)
    check_monitoring()
    check_rbac()
    check_system()
    check_overlays()
    for problem in PROBLEMS:
        print(f"FAIL {problem}")
    print(f"{len(PROBLEMS)} problems")
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
