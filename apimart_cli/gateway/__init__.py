"""The gateway: targets in, readings out, each within its time limit. Only this package imports requests and urllib3."""
