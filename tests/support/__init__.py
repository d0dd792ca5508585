"""What several tests stand on: servers, terminals, and what may not be seen."""
