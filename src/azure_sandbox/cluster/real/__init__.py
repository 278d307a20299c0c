"""A real kube-apiserver with etcd in front of the sandbox's guard, where a world asks for it."""
