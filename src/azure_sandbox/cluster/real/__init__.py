"""A real kube-apiserver with etcd for clusters whose world asks for it, with the sandbox's guard as webhook."""
