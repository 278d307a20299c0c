"""A Kubernetes of one node: etcd, API server, controller manager, scheduler, containerd and a kubelet.

`make test-kubernetes` runs the tests in namespaces of their own for processes, mounts and the network. What is started
here ends with them, however they end. A run that is killed leaves its folder, and empty control groups that the next
run removes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from azure_sandbox.cluster.certificates import KeyPair, client_certificate, new_authority, server_certificate
from azure_sandbox.cluster.real.binaries import VARIABLE
from tests.support.part import CHECKOUT, SOON, Part, clean_environment, run

IMAGES: Final = CHECKOUT / ".build" / "kubernetes" / "images.tar"
IMAGE: Final = "localhost/test:aks-entra"
ADDRESS: Final = "10.98.0.1"
"""The node's, which pods reach over a bridge. What a pod asks for on it is answered by processes of this machine."""
ISSUER: Final = "https://oidc.kubernetes.example/test"
NODE: Final = "node1"
_PAUSE: Final = "localhost/test:pause"
_SUBNET: Final = "10.98.0.0/24"
_BRIDGE: Final = "kube0"
_PLUGINS: Final = Path("/usr/lib/cni")
_BUILT: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
_INSTALLED: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "mount": "mount",
}


def missing() -> tuple[str, ...]:
    """Return what this machine lacks for the cluster, each with what brings it."""
    assets = Path(os.environ.get(VARIABLE, "/nowhere"))
    lacks = [f"{name} (clients/build kubernetes)" for name in _BUILT if not (assets / name).is_file()]
    lacks += [f"{name} (apt-get install {package})" for name, package in _INSTALLED.items() if not shutil.which(name)]
    if not (_PLUGINS / "bridge").is_file():
        lacks.append("CNI plug-ins (apt-get install containernetworking-plugins)")
    if not IMAGES.is_file():
        lacks.append("the images (make test-kubernetes)")
    if os.geteuid() != 0 or os.getpid() != 1:
        lacks.append("root, with namespaces for processes, mounts and the network (make test-kubernetes)")
    return tuple(lacks)


@dataclass(kw_only=True)
class Cluster:
    """A running cluster. `key` signs the tokens of its service accounts; `logs` outlives `folder`."""

    folder: Path
    logs: Path
    key: rsa.RSAPrivateKey
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def issuer_pem(self) -> str:
        """The public key of the tokens, as a tenant gets it from the issuer's address."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    async def kubectl(self, *arguments: str, given: Any = None) -> str:
        """Run kubectl as an administrator. `given`: a document for its input."""
        text = None if given is None else json.dumps(given)
        return await run(_asset("kubectl"), f"--kubeconfig={self.folder / 'admin.kubeconfig'}", *arguments, given=text)

    async def ready(self) -> None:
        """Wait until the API server is ready."""
        async with asyncio.timeout(SOON):
            while True:
                with suppress(AssertionError):
                    await self.kubectl("get", "--raw", "/readyz")
                    return

    async def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` finds."""
        return json.loads(await self.kubectl("get", *arguments, "-o", "json"))

    async def kill(self, container: str) -> None:
        """Kill a container as the kernel does when memory ends. `container`: its ID as the API shows it."""
        await self._ctr("task", "kill", "--signal", "SIGKILL", container.removeprefix("containerd://"))

    async def kubeconfig_of(self, account: str, namespace: str) -> Path:
        """Return a kubeconfig with a token of a service account."""
        token = await self.kubectl("create", "token", account, "-n", namespace, "--duration=24h")
        file = self.folder / f"{account}.kubeconfig"
        _write(file, _kubeconfig((self.folder / "ca.crt").read_bytes(), {"token": token.strip()}))
        return file

    async def _ctr(self, *arguments: str) -> None:
        await run("ctr", f"--address={self.folder / 'containerd.sock'}", "--namespace=k8s.io", *arguments)

    async def import_images(self) -> None:
        """Bring the images that tests/kubernetes/image made to the node."""
        await self._ctr("images", "import", "--base-name", IMAGE.partition(":")[0], str(IMAGES))


@asynccontextmanager
async def cluster(folder: Path, logs: Path) -> AsyncIterator[Cluster]:
    """Start a cluster, with its files in an empty folder with a short path: sockets are in it. Ends it."""
    running = Cluster(folder=folder, logs=logs, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    _write_keys(running)
    _write_settings(folder, logs)
    environment = {**clean_environment(), "HOME": str(folder)}

    async def start(name: str, *command: str, port: int | None = None) -> None:
        log = logs / f"{name}.log"
        running.parts[name] = Part(name=name, command=command, environment=environment, log=log, port=port)
        await running.parts[name].start()

    for command in _network():
        await run(*command)
    await run("mount", "--bind", str(folder), str(folder))
    for place in ("/run", "/var/lib", "/var/log"):  # seen in this mount namespace only
        await run("mount", "-t", "tmpfs", "tmpfs", place)
    try:
        await start("etcd", _asset("etcd"), *_options(_etcd(folder)), port=2379)
        await start("kube-apiserver", _asset("kube-apiserver"), *_options(_apiserver(folder)), port=6443)
        await running.ready()
        await start("containerd", "containerd", "--config", str(folder / "containerd.toml"))
        await start("controllers", _asset("kube-controller-manager"), *_options(_controllers(folder)))
        await start("scheduler", _asset("kube-scheduler"), *_options(_scheduler(folder)))
        await start("kubelet", _asset("kubelet"), *_options(_kubelet(folder)))
        await running.kubectl("wait", "--for=create", f"node/{NODE}", "--timeout=120s")
        await running.import_images()
        await running.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=120s")
        yield running
    finally:
        for one in reversed(running.parts.values()):
            await one.kill()
        _end_pods()
        await run("umount", "--recursive", "--lazy", str(folder))


def _end_pods() -> None:
    """Kill what is left in this namespace of processes, and remove the control groups of the pods."""
    if os.getpid() != 1:
        raise RuntimeError("this is no namespace of its own: kill(-1) would end everything on this machine")
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:  # orphans are children of process 1
            os.waitpid(-1, 0)
    for root in Path("/sys/fs/cgroup").glob("*/kubepods"):
        for folder, *_ in os.walk(root, topdown=False):
            os.rmdir(folder)  # noqa: PTH106  # as os.walk gives it


def _asset(name: str) -> str:
    return str(Path(os.environ[VARIABLE]) / name)


def _options(options: Mapping[str, str]) -> Iterator[str]:
    return (f"--{name}={value}" for name, value in options.items())


def _network() -> tuple[tuple[str, ...], ...]:
    return (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "link", "add", _BRIDGE, "type", "bridge"),
        ("ip", "address", "add", f"{ADDRESS}/24", "dev", _BRIDGE),
        ("ip", "link", "set", _BRIDGE, "up"),
    )


def _etcd(folder: Path) -> dict[str, str]:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return {
        "data-dir": str(folder / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "unsafe-no-fsync": "true",
    }


def _apiserver(folder: Path) -> dict[str, str]:
    """Return the options, with admission policies that change objects: a beta of this version, off by default."""
    return {
        "etcd-servers": "http://127.0.0.1:2379",
        "bind-address": "127.0.0.1",
        "advertise-address": ADDRESS,
        "secure-port": "6443",
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": "10.0.0.0/24",
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "authorization-mode": "Node,RBAC",
        "tls-cert-file": str(folder / "apiserver.crt"),
        "tls-private-key-file": str(folder / "apiserver.key"),
        "client-ca-file": str(folder / "ca.crt"),
        "kubelet-client-certificate": str(folder / "admin.crt"),
        "kubelet-client-key": str(folder / "admin.key"),
        "service-account-issuer": ISSUER,
        "service-account-key-file": str(folder / "accounts.pub"),
        "service-account-signing-key-file": str(folder / "accounts.key"),
        "feature-gates": "MutatingAdmissionPolicy=true",
        "runtime-config": "admissionregistration.k8s.io/v1beta1=true",
    }


def _controllers(folder: Path) -> dict[str, str]:
    without = ("node-ipam", "node-route", "service-lb", "cloud-node-lifecycle")
    return {
        "kubeconfig": str(folder / "controllers.kubeconfig"),
        "controllers": ",".join(("*", *(f"-{name}-controller" for name in without))),
        "leader-elect": "false",
        "root-ca-file": str(folder / "ca.crt"),
        "use-service-account-credentials": "true",
        "service-account-private-key-file": str(folder / "accounts.key"),
    }


def _scheduler(folder: Path) -> dict[str, str]:
    return {"kubeconfig": str(folder / "scheduler.kubeconfig"), "leader-elect": "false"}


def _kubelet(folder: Path) -> dict[str, str]:
    return {
        "kubeconfig": str(folder / "node.kubeconfig"),
        "config": str(folder / "kubelet.json"),
        "root-dir": str(folder / "kubelet"),
        "cert-dir": str(folder / "kubelet-certificates"),
        "hostname-override": NODE,
        "node-ip": ADDRESS,
    }


def _write_keys(running: Cluster) -> None:
    folder = running.folder
    authority = new_authority(datetime.now(UTC))
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    key = running.key
    _write(folder / "accounts.key", key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (folder / "accounts.pub").write_text(running.issuer_pem)
    _write_pair(folder, "apiserver", server_certificate(authority, ("localhost",)))
    clients = {
        "admin": ("system:masters", "admin"),
        "controllers": ("kubernetes", "system:kube-controller-manager"),
        "scheduler": ("kubernetes", "system:kube-scheduler"),
        "node": ("system:nodes", f"system:node:{NODE}"),
    }
    for name, (organization, common_name) in clients.items():
        pair = client_certificate(authority, organization, common_name, authority.certificate.not_valid_before_utc)
        _write_pair(folder, name, pair)
        user = {
            "client-certificate-data": b64encode(pair.certificate_pem).decode(),
            "client-key-data": b64encode(pair.key_pem).decode(),
        }
        _write(folder / f"{name}.kubeconfig", _kubeconfig(authority.certificate_pem, user))


def _write_pair(folder: Path, name: str, pair: KeyPair) -> None:
    (folder / f"{name}.crt").write_bytes(pair.certificate_pem)
    _write(folder / f"{name}.key", pair.key_pem)


def _write(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)


def _kubeconfig(authority: bytes, user: Mapping[str, str]) -> bytes:
    server = {"server": "https://localhost:6443", "certificate-authority-data": b64encode(authority).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    return json.dumps(document).encode()


def _write_settings(folder: Path, logs: Path) -> None:
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(folder / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder / 'containerd.sock'}",
        "podLogsDir": str(logs / "pods"),
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }
    (folder / "kubelet.json").write_text(json.dumps(kubelet))
    ipam = {
        "type": "host-local",
        "dataDir": str(folder / "addresses"),
        "ranges": [[{"subnet": _SUBNET, "gateway": ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "bridge", "bridge": _BRIDGE, "isGateway": True, "ipam": ipam}
    network = folder / "cni"
    network.mkdir()
    (network / "test.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "test", "plugins": [plugin]}))
    (folder / "containerd.toml").write_text(f"""\
version = 2
root = "{folder / "containerd"}"
state = "{folder / "containerd-state"}"
[grpc]
  address = "{folder / "containerd.sock"}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "containerd-opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_PLUGINS}"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
""")
