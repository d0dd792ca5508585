"""The gateway: targets in, readings out, each inside its deadline. The only importer of requests and urllib3."""
