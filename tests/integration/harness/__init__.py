"""What the integration tests stand on: real servers, the simulators, the service, and a client that
checks every answer against the contract's general rules."""
