"""The only files that know the Azure, Microsoft Graph and Kubernetes clients. They translate, and decide nothing."""
