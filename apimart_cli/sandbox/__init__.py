"""The sandbox: a gateway on loopback, for trying, testing and rehearsing. It imports nothing of ours."""
