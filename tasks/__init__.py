"""One observable unit each: a name, retries for `TryLater`, a timeout, a few lines. Types live in `aks_entra`."""
