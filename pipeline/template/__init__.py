"""The Dataflow Flex Template: what its launcher runs, and the parameters that it offers (`metadata.json`)."""
