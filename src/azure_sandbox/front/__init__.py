"""The entrance of a sandbox: proxy, certificates, requests and control host. It must not know the services."""
