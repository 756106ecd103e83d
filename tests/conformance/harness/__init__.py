"""The conformance harness: compiles pipelines, runs their cases on each engine, compares."""
