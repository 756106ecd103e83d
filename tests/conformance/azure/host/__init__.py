"""The Durable Functions host, for tests: drives azure-functions-durable 1.x through its replay protocol.

The library is the real one. What is ours is the side that is .NET in the cloud: the extension's OutOfProcOrchestrationShim (walks the
returned actions one after another, scheduling and then awaiting each), DurableTask.Core (history, ids, RetryInterceptor, timers) and
the worker's converters. Time is virtual.
"""
