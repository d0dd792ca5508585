"""Settings: what the options, the environment and the config file say, read strictly, each with its source."""
